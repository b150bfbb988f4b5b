"""What is compared and in which order. Pure.

A visit starts one system, measures it with each number of calls, and stops it: the others do not exist
meanwhile, so that nothing idle takes its CPU. Visits alternate (A B C A B C), so that a machine that slows
down or warms up in the course of a run does so for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.errors import UsageError


@dataclass(frozen=True, slots=True)
class Arm:
    """A system with its settings. `title` is for the table, `about` for the reader of the results."""

    name: str
    title: str
    about: str


ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm("parley", "Parley", "as serve_config.yaml has it"),
        Arm("pipecat", "Pipecat 1.14.0", "the bot in bench/peers/bot, on the same weights and facts"),
        Arm("parley-full-window", "Parley, 30 s window", "speech recognition on the full window of Whisper"),
    )
}


@dataclass(frozen=True, slots=True)
class Visit:
    """One start of one system. `repeat` counts from 0: all arms of a repeat hear the same callers."""

    arm: Arm
    repeat: int


def plan(names: Sequence[str], repeats: int) -> list[Visit]:
    """Every arm once a repeat, in the order given. Raises UsageError for an arm that is not known."""
    unknown = [name for name in names if name not in ARMS]
    if unknown:
        raise UsageError(f"no system is called '{unknown[0]}': choose from {', '.join(ARMS)}")
    arms = [ARMS[name] for name in dict.fromkeys(names)]
    return [Visit(arm, repeat) for repeat in range(repeats) for arm in arms]


def parse_counts(text: str) -> tuple[int, ...]:
    """`1,4` as numbers of simultaneous calls; raises UsageError."""
    try:
        counts = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        counts = ()
    if not counts or min(counts) < 1:
        raise UsageError(f"'{text}' is no list of numbers of calls: give it as in --calls 1,4")
    return counts

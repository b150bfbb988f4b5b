"""Placing the same calls at whatever system runs, and judging what came of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import psutil

from bench.peers.plan import Visit
from bench.peers.systems import System
from bench.peers.table import Answer, Load
from engine.cli.bench import TURN_S
from engine.cli.report import percentile
from engine.errors import UsageError
from engine.simulator import load as callers
from engine.simulator import recordings
from engine.simulator.analysis import TurnResult, Utterance
from engine.simulator.judge import Decoder, judge, missing_facts
from engine.simulator.load import Outcome, place_calls, spread_questions
from engine.simulator.scenarios.questions import recorded_questions

BYTES_A_SECOND = 8_000


def questions() -> list[Utterance]:
    """The held-out questions that the clinic's text answers."""
    known = {one.id for one in recordings.select(kind="question", of="heldout")}
    return [utterance for utterance in recorded_questions("heldout") if utterance.id in known]


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is asked: `calls` at once, `rounds` questions in each."""

    calls: int
    rounds: int
    seed: int


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """The calls of one measurement, before they are judged, and the average CPU that they took, in cores."""

    visit: Visit
    calls: int
    outcomes: list[Outcome]
    cores: float


async def warm_up(system: System) -> None:
    """One call with one question: the first of everything is nobody's. Raises UsageError if it fails."""
    [question] = recorded_questions("demo")[:1]
    [outcome] = await place_calls(callers.Load([[question]]), system.url_for)
    if outcome.result is None:
        raise UsageError(f"no call could be placed: {outcome.failure}")


async def measure(system: System, visit: Visit, scale: Scale, tell: Callable[[], None]) -> Measured:
    """Place the calls of a scale; every system of a repeat is asked the same by the same callers."""
    seed = scale.seed + visit.repeat
    scripts = spread_questions(questions(), scale.calls, scale.rounds, seed)
    load = callers.Load(scripts, stagger_s=TURN_S / scale.calls, seed=seed)
    wall, cpu = time.monotonic(), cpu_seconds(system.pids)
    outcomes = await place_calls(load, system.url_for, lambda _: tell())
    cores = (cpu_seconds(system.pids) - cpu) / (time.monotonic() - wall)
    return Measured(visit, scale.calls, outcomes, cores)


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that these processes and all below them have used so far."""
    total = 0.0
    for pid in pids:
        with suppress(psutil.Error):
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.Error):
                    used = process.cpu_times()
                    total += used.user + used.system
    return total


def load_row(measured: Measured) -> Load:
    results = [outcome.result for outcome in measured.outcomes if outcome.result is not None]
    late = [ms for result in results for ms in result.tape.lateness_ms()]
    return Load(
        arm=measured.visit.arm.name,
        calls=measured.calls,
        repeat=measured.visit.repeat,
        asked=sum(outcome.rounds for outcome in measured.outcomes),
        cores=round(measured.cores, 3),
        late_ms=round(percentile(late, 99), 1) if late else 0.0,
        failures=tuple(outcome.failure for outcome in measured.outcomes if outcome.failure),
    )


def judged(measured: Measured, decoder: Decoder) -> list[Answer]:
    """Listen to each answer. Blocks; to be called when no system runs any more."""
    expected = {utterance.id: utterance.expected for utterance in questions()}
    turns = [turn for one in measured.outcomes if one.result is not None for turn in one.result.turns]
    return [_answer(measured, turn, expected[turn.id], decoder) for turn in turns]


def _answer(
    measured: Measured, turn: TurnResult, expected: Sequence[Sequence[str]], decoder: Decoder
) -> Answer:
    verdict = judge(turn.answer, expected, decoder)
    return Answer(
        arm=measured.visit.arm.name,
        calls=measured.calls,
        repeat=measured.visit.repeat,
        question=turn.id,
        ms=None if turn.voice_to_voice_ms is None else round(turn.voice_to_voice_ms, 1),
        text=verdict.text,
        right=verdict.right,
        refused=bool(verdict.text) and not missing_facts(verdict.text, (recordings.declines(),)),
        audio_s=round(len(turn.answer) / BYTES_A_SECOND, 2),
    )

"""Who spoke over whom, and when they stopped: pure functions over a tape. Ticks are frames of 20 ms.

Times are from frame to frame: a stop is counted from the caller's first loud frame sent to the agent's last
loud frame played out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from engine.simulator.carrier import Cleared
from engine.simulator.tape import FRAME_MS, Said, Tape

SILENT_TICKS = 15
"""300 ms: an agent that is silent for so long has stopped, and did not merely part two words."""
CONNECTED_TICKS = 8
"""160 ms: loud frames no further apart are the same speech."""


def first_loud(tape: Tape, said: Said) -> int:
    """Tick of the caller's first loud frame in what was said."""
    return next((n for n in range(said.start, said.end) if tape[n].caller_loud), said.start)


def was_speaking(tape: Tape, tick: int, within: int = SILENT_TICKS) -> bool:
    """Whether `tick` is in the middle of the agent's speech: loud not long before, and loud soon after."""
    before = tape.agent_loud_ticks(max(0, tick - within), tick)
    return bool(before) and bool(tape.agent_loud_ticks(tick, tick + within - (tick - 1 - before[-1])))


def stopped_at(tape: Tape, first: int, end: int) -> int | None:
    """The agent's last loud tick before it was silent for 300 ms (or until `end`), looking from `first` on.

    None where it was silent from the start.
    """
    last = None
    for tick in tape.agent_loud_ticks(first, min(end, len(tape))):
        if tick - (first - 1 if last is None else last) > SILENT_TICKS:
            break
        last = tick
    return last


def longest_silence_ms(tape: Tape, first: int, last: int, end: int) -> int | None:
    """The agent's longest silence between two loud frames that overlaps ticks `first` to `last`.

    0 where its loud frames follow each other; None where none comes from `first` to `end`.
    """
    before = tape.agent_loud_ticks(0, first)
    after = tape.agent_loud_ticks(first, end)
    if not after:
        return None
    around = [*before[-1:], *after]
    gaps = [behind - ahead - 1 for ahead, behind in pairwise(around) if ahead < last]
    return FRAME_MS * max(gaps, default=0)


def talked_over(tape: Tape, first: int, last: int) -> list[int]:
    """Ticks from `first` to `last` in which the agent was loud with speech that it began after `first`."""
    before = tape.agent_loud_ticks(max(0, first - CONNECTED_TICKS), first)
    earlier = before[-1] if before else None
    new = []
    for tick in tape.agent_loud_ticks(first, last + 1):
        if earlier is not None and tick - earlier <= CONNECTED_TICKS:
            earlier = tick
        else:
            new.append(tick)
            earlier = None
    return new


def was_cleared(tape: Tape, cleared: Sequence[Cleared], first: int, last: int) -> bool:
    """Whether the server threw audio away between two ticks."""
    return any(tape.at(first) <= clear.at < tape.at(last + 1) for clear in cleared)

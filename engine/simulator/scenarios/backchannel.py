"""Backchannels: the caller says "mm-hm" or coughs while the agent speaks. Does it go on, and how soon?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.simulator.analysis import TurnResult
from engine.simulator.conversation import ConversationResult, Script, Spoken
from engine.simulator.events import ANSWER_KINDS, AgentPiece, Heard, UserTurn
from engine.simulator.scenarios.base import Plan, Row, deal, known, rounds_for, share_out, utterances
from engine.simulator.scenarios.overlap import first_loud, longest_silence_ms, was_cleared, was_speaking
from engine.simulator.scenarios.speak_over import Moment, SpeakOver

ENOUGH, LEAST_ROUNDS = 26, 3
LEAST_MS, SPARE_MS = 2_000.0, 900.0
QUESTIONS = 4
MOST_MS = 1_000
"""A longer stop is not a resumption: the caller takes it for a lost line."""
_AROUND_TICKS = 50
"""Silence counts that begins up to a second after the sound."""


@dataclass(frozen=True, slots=True)
class Backchannel(Row):
    """One sound over an answer. `stop_ms`: the agent's longest silence between its loud frames around it."""

    text: str
    question: str
    point: float
    was_over: bool
    """Whether the agent was speaking, or had more to say; where not, the row counts for nothing."""
    held: bool
    """Whether the server stopped its audio for it."""
    resumed: bool
    """The same answer was heard to its end; from a server without events: the agent was heard again."""
    stop_ms: int | None
    heard_as: str
    """What the server made of it, where it took it for a turn."""


class BackchannelScenario:
    """Backchannels and coughs of the set over answers to its questions."""

    name = "backchannel"

    def rounds(self, calls: int) -> int:
        return rounds_for(ENOUGH, calls, LEAST_ROUNDS)

    def scripts(self, plan: Plan) -> list[Script]:
        dice, count = random.Random(plan.seed), plan.calls * plan.rounds
        questions = utterances("question", plan.of)
        sounds = deal([*utterances("backchannel", plan.of), *utterances("cough", plan.of)], count, dice)
        steps = []
        for number, sound in enumerate(sounds):
            moment = Moment((number + 0.5) / count, LEAST_MS, SPARE_MS)
            steps.append(SpeakOver(deal(questions, QUESTIONS, dice), sound, moment, asks=False))
        dice.shuffle(steps)
        return [*share_out(steps, plan)]

    def judged(self, result: ConversationResult) -> list[TurnResult]:
        return result.turns

    def rows(self, result: ConversationResult) -> list[Row]:
        before, rows = "", list[Row]()
        for number, spoken in enumerate(result.spoken):
            if isinstance(spoken.step, SpeakOver):
                later = result.spoken[number + 1 :]
                end = later[0].said.start if later else len(result.tape)
                rows.append(sound_over(result, spoken, before, end))
            before = spoken.utterance.id
        return rows

    def figures(self, rows: Sequence[Row]) -> dict[str, Any]:
        tried = [row for row in rows if isinstance(row, Backchannel)]
        names = sorted({row.id for row in tried})
        return {
            "sounds": len(tried),
            **_figures(tried),
            "recordings": {name: _figures([row for row in tried if row.id == name]) for name in names},
        }

    def unmeasured(self, has_events: bool) -> list[str]:
        if has_events:
            return []
        return [
            "without in-band events every point is that of an answer of 2 s",
            "without in-band events it is not known whether what was heard afterwards is the same answer, "
            "to its end: an agent that is heard again has resumed",
        ]


def _figures(rows: Sequence[Backchannel]) -> dict[str, Any]:
    over = [row for row in rows if row.was_over]
    return {
        "over": len(over),
        "held": sum(row.held for row in over),
        "resumed": sum(row.resumed for row in over),
        "resumed_in_time": sum(row.resumed and (row.stop_ms or 0) < MOST_MS for row in over),
        "stops_ms": known([row.stop_ms for row in over]),
    }


def sound_over(result: ConversationResult, spoken: Spoken, question: str, end: int) -> Backchannel:
    """What came of one sound, as tape and events have it; `end`: tick at which the caller spoke again."""
    tape, said = result.tape, spoken.said
    assert isinstance(spoken.step, SpeakOver)
    first, around = first_loud(tape, said), said.last_loud + _AROUND_TICKS
    held = was_cleared(tape, result.cleared, first, around)
    was_over = held or was_speaking(tape, first)
    return Backchannel(
        id=spoken.utterance.id,
        text=spoken.utterance.text,
        question=question,
        point=round(spoken.step.moment.point, 3),
        was_over=was_over,
        held=held,
        resumed=was_over and _resumed(result, first, end),
        stop_ms=longest_silence_ms(tape, first, around, end) if was_over else None,
        heard_as=_turn_of(result, first, end),
    )


def _turn_of(result: ConversationResult, first: int, end: int) -> str:
    since, until = result.tape.at(first), result.tape.at(end)
    turns = [
        one.event.text for one in result.events if isinstance(one.event, UserTurn) and since < one.at < until
    ]
    return " ".join(turns)


def _resumed(result: ConversationResult, first: int, end: int) -> bool:
    tape = result.tape
    if not result.events:
        return bool(tape.agent_loud_ticks(first + _AROUND_TICKS // 2, end))
    before = [
        one.event
        for one in result.events
        if isinstance(one.event, AgentPiece) and one.event.kind in ANSWER_KINDS and one.at <= tape.at(first)
    ]
    ends = [
        one.event
        for one in result.events
        if isinstance(one.event, Heard) and before and one.event.turn == before[-1].turn
        and tape.at(first) < one.at < tape.at(end)
    ]  # fmt: skip
    return bool(ends) and not any(one.interrupted for one in ends)

"""Barge-in: the caller asks something else over the answer. How soon is it silent, what does it answer?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.simulator.analysis import TurnResult
from engine.simulator.conversation import ConversationResult, Script, Spoken
from engine.simulator.scenarios.base import Plan, Row, deal, known, rounds_for, share_out, utterances
from engine.simulator.scenarios.overlap import first_loud, stopped_at, talked_over, was_cleared, was_speaking
from engine.simulator.scenarios.speak_over import Moment, SpeakOver
from engine.simulator.tape import FRAME_MS

ENOUGH, LEAST_ROUNDS = 26, 3
"""Some interruptions fall into a pause of the agent and are not counted: 20 are to be left."""
LEAST_MS, SPARE_MS = 1_000.0, 500.0
QUESTIONS = 3
"""How many questions are tried for an answer that is long enough."""
_CLEAR_TICKS = 25


@dataclass(frozen=True, slots=True)
class BargeIn(Row):
    """One interruption. Times in ms, from its first loud frame sent.

    `outcome`: `stopped`; `played on` to the end of the answer; `in a pause`: the agent was not speaking.
    """

    question: str
    point: float
    outcome: str
    silent_ms: float | None
    """To the last loud frame of the agent before it was silent for 300 ms or the interruption was over."""
    spoke_again_ms: int
    """How long the agent spoke anew while the interruption still went on."""
    answered: bool
    right: bool | None
    voice_to_voice_ms: float | None


class BargeInScenario:
    """Questions of the set and its interruptions that ask something, over the answers to other questions."""

    name = "barge-in"

    def rounds(self, calls: int) -> int:
        return rounds_for(ENOUGH, calls, LEAST_ROUNDS)

    def scripts(self, plan: Plan) -> list[Script]:
        dice, count = random.Random(plan.seed), plan.calls * plan.rounds
        questions = utterances("question", plan.of)
        asking = [one for one in utterances("interruption", plan.of) if one.expected]
        overs = deal([*asking, *questions], count, dice)
        steps = []
        for number, over in enumerate(overs):
            others = [one for one in questions if one.expected != over.expected]
            moment = Moment((number + 0.5) / count, LEAST_MS, SPARE_MS)
            steps.append(SpeakOver(deal(others, QUESTIONS, dice), over, moment, asks=True))
        dice.shuffle(steps)
        return [*share_out(steps, plan)]

    def judged(self, result: ConversationResult) -> list[TurnResult]:
        """The interruptions' alone: the answers before them were not heard out."""
        return [turn for spoken, turn in result.answers if spoken.step is not None]

    def rows(self, result: ConversationResult) -> list[Row]:
        before, rows = "", list[Row]()
        for spoken, turn in result.answers:
            if isinstance(spoken.step, SpeakOver):
                rows.append(interruption(result, spoken, turn, before))
            before = spoken.utterance.id
        return rows

    def figures(self, rows: Sequence[Row]) -> dict[str, Any]:
        tried = [row for row in rows if isinstance(row, BargeIn)]
        judged = [row for row in tried if row.right is not None]
        return {
            "interruptions": len(tried),
            **{
                name: sum(row.outcome == name for row in tried)
                for name in ("stopped", "played on", "in a pause")
            },
            "barge_in_to_silence_ms": known([row.silent_ms for row in tried if row.outcome == "stopped"]),
            "spoke_again": sum(row.spoke_again_ms > 0 for row in tried),
            "answered": sum(row.answered for row in tried),
            "judged": len(judged),
            "right": sum(bool(row.right) for row in judged),
            "voice_to_voice_ms": known([row.voice_to_voice_ms for row in tried]),
        }

    def unmeasured(self, has_events: bool) -> list[str]:
        if has_events:
            return []
        return [
            "without in-band events every point is that of an answer of 2 s",
            "without in-band events the first speech after an interruption counts as its answer",
        ]


def interruption(result: ConversationResult, spoken: Spoken, turn: TurnResult, question: str) -> BargeIn:
    """What came of one interruption, as the tape has it."""
    tape, said = result.tape, spoken.said
    assert isinstance(spoken.step, SpeakOver)
    first = first_loud(tape, said)
    stop = stopped_at(tape, first, len(tape))
    outcome, again = "in a pause", 0
    if stop is not None and was_speaking(tape, first):
        was_cut = was_cleared(tape, result.cleared, first, stop + _CLEAR_TICKS)
        outcome = "stopped" if was_cut and stop < said.last_loud else "played on"
        again = FRAME_MS * len(talked_over(tape, stop + 1, said.last_loud))
    return BargeIn(
        id=spoken.utterance.id,
        question=question,
        point=round(spoken.step.moment.point, 3),
        outcome=outcome,
        silent_ms=None if stop is None else round((tape.at(stop) - tape.at(first)) * 1000, 1),
        spoke_again_ms=again,
        answered=turn.answered,
        right=turn.judgement.right if turn.judgement else None,
        voice_to_voice_ms=turn.voice_to_voice_ms,
    )

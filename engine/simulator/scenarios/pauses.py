"""Pauses within a sentence: the caller stops to think. Does the agent take the turn from him?"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.simulator.analysis import TurnResult, Utterance
from engine.simulator.caller import Caller
from engine.simulator.conversation import ConversationResult, Pace, Script, Spoken, ask
from engine.simulator.pause import insert_pause, quiet_point, speech_bounds
from engine.simulator.scenarios.base import Plan, Row, deal, known, rounds_for, share_out, utterances
from engine.simulator.scenarios.overlap import first_loud, talked_over
from engine.simulator.tape import FRAME_MS

ENOUGH, LEAST_ROUNDS = 36, 5
PAUSES_MS = (200, 300, 400, 500, 600)
IN_HALF, EARLIEST, LATEST = 0.5, 0.35, 0.75


@dataclass(frozen=True, slots=True)
class Pause(Row):
    """One utterance. Times in ms. `fraction` was asked for, `at_ms` of its speech it became."""

    pause_ms: int
    fraction: float
    at_ms: int
    talked_over: bool
    talk_over_ms: int
    """How long the agent was loud between the first and the last loud frame of the utterance."""
    answered: bool
    right: bool | None
    voice_to_voice_ms: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Halting:
    """A question with a pause of `pause_ms` near `fraction` of its speech."""

    question: Utterance
    pause_ms: int
    fraction: float

    @property
    def at(self) -> int:
        """The sample before which the pause is."""
        return quiet_point(self.question.pcm, self.fraction)

    @property
    def at_ms(self) -> int:
        """How much of the speech comes before the pause."""
        return (self.at - speech_bounds(self.question.pcm)[0]) // 8

    async def perform(self, caller: Caller, pace: Pace) -> list[Spoken]:
        pcm = insert_pause(self.question.pcm, self.at, self.pause_ms)
        await caller.until(lambda: not caller.carrier.buffered_ms, pace.answer_s)
        return await ask(caller, replace(self.question, pcm=pcm), pace, self)


class PausesScenario:
    """Questions of the set, each cut once; a third of them in the middle."""

    name = "pauses"

    def rounds(self, calls: int) -> int:
        return rounds_for(ENOUGH, calls, LEAST_ROUNDS)

    def scripts(self, plan: Plan) -> list[Script]:
        dice, count = random.Random(plan.seed), plan.calls * plan.rounds
        questions = deal(utterances("question", plan.of), count, dice)
        steps = []
        for number, question in enumerate(questions):
            fraction = IN_HALF if number % 3 == 0 else round(dice.uniform(EARLIEST, LATEST), 3)
            steps.append(Halting(question, PAUSES_MS[number % len(PAUSES_MS)], fraction))
        return [*share_out(steps, plan)]

    def judged(self, result: ConversationResult) -> list[TurnResult]:
        return result.turns

    def rows(self, result: ConversationResult) -> list[Row]:
        return [
            utterance(result, spoken, turn)
            for spoken, turn in result.answers
            if isinstance(spoken.step, Halting)
        ]

    def figures(self, rows: Sequence[Row]) -> dict[str, Any]:
        tried = [row for row in rows if isinstance(row, Pause)]
        return {
            **_figures(tried),
            "voice_to_voice_ms": known([row.voice_to_voice_ms for row in tried]),
            "pauses": {str(ms): _figures([row for row in tried if row.pause_ms == ms]) for ms in PAUSES_MS},
        }

    def unmeasured(self, has_events: bool) -> list[str]:
        if has_events:
            return []
        return ["without in-band events the first speech after an utterance counts as its answer"]


def _figures(rows: Sequence[Pause]) -> dict[str, Any]:
    judged = [row for row in rows if row.right is not None]
    return {
        "utterances": len(rows),
        "talked_over": sum(row.talked_over for row in rows),
        "talk_over_ms": sum(row.talk_over_ms for row in rows),
        "answered": sum(row.answered for row in rows),
        "judged": len(judged),
        "right": sum(bool(row.right) for row in judged),
    }


def utterance(result: ConversationResult, spoken: Spoken, turn: TurnResult) -> Pause:
    """What came of one utterance, as the tape has it."""
    step = spoken.step
    assert isinstance(step, Halting)
    over = talked_over(result.tape, first_loud(result.tape, spoken.said), spoken.said.last_loud)
    return Pause(
        id=spoken.utterance.id,
        pause_ms=step.pause_ms,
        fraction=step.fraction,
        at_ms=step.at_ms,
        talked_over=bool(over),
        talk_over_ms=FRAME_MS * len(over),
        answered=turn.answered,
        right=turn.judgement.right if turn.judgement else None,
        voice_to_voice_ms=turn.voice_to_voice_ms,
    )

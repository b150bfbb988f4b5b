"""Questions: the caller asks and hears the answer out. What `parley bench` does if not told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.simulator import recordings
from engine.simulator.analysis import TurnResult, Utterance
from engine.simulator.conversation import ConversationResult, Script
from engine.simulator.load import spread_questions
from engine.simulator.scenarios.base import Plan, Row, utterances

ROUNDS = 10


def recorded_questions(of: recordings.Set) -> list[Utterance]:
    """The questions of one set; first those that can be answered."""
    no_answer = (recordings.declines(),)
    return utterances("question", of) + [
        Utterance(one.id, one.pcm, one.text, no_answer) for one in utterances("unanswerable", of)
    ]


class QuestionsScenario:
    """All figures of it are in every report: it has no rows of its own."""

    name = "questions"

    def rounds(self, calls: int) -> int:
        return ROUNDS

    def scripts(self, plan: Plan) -> list[Script]:
        return [*spread_questions(recorded_questions(plan.of), plan.calls, plan.rounds, plan.seed)]

    def judged(self, result: ConversationResult) -> list[TurnResult]:
        return result.turns

    def rows(self, result: ConversationResult) -> list[Row]:
        return []

    def figures(self, rows: Sequence[Row]) -> dict[str, Any]:
        return {}

    def unmeasured(self, has_events: bool) -> list[str]:
        return []

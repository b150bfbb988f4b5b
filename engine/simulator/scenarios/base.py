"""What a scenario is, and how its recordings are dealt out."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from engine.simulator import recordings
from engine.simulator.analysis import TurnResult, Utterance
from engine.simulator.conversation import ConversationResult, Script
from engine.simulator.figures import spread

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of a scenario: so many calls at once, so many rounds in each."""

    calls: int
    rounds: int
    of: recordings.Set
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One time that the rule was tried. `id`: the recording that tried it."""

    id: str


class Scenario(Protocol):
    """The rows of a run are those of all its calls; `figures` and `unmeasured` are of a run."""

    @property
    def name(self) -> str: ...

    def rounds(self, calls: int) -> int:
        """How many rounds in each call make enough rows."""

    def scripts(self, plan: Plan) -> list[Script]:
        """A script for each call; the same plan gives the same scripts."""

    def judged(self, result: ConversationResult) -> list[TurnResult]:
        """The turns of a call whose answers are to be listened to."""

    def rows(self, result: ConversationResult) -> list[Row]:
        """What came of each try in a call. Judge first: rows say whether an answer was right."""

    def figures(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Counts and spreads, for the report."""

    def unmeasured(self, has_events: bool) -> list[str]:
        """What cannot be measured where the server tells nothing beside the audio."""


def utterances(kind: recordings.Kind, of: recordings.Set | None = None) -> list[Utterance]:
    """All recordings of a kind, of one set or of any."""
    return [Utterance(one.id, one.pcm(), one.text, one.facts) for one in recordings.select(kind=kind, of=of)]


def deal(cards: Sequence[T], count: int, dice: random.Random) -> list[T]:
    """So many of `cards`, shuffled; none comes again before each has come as often."""
    deck = list[T]()
    while cards and len(deck) < count:
        deck += dice.sample(list(cards), len(cards))
    return deck[:count]


def rounds_for(enough: int, calls: int, least: int) -> int:
    """Rounds in each call for `enough` in all, and at least `least`."""
    return max(least, math.ceil(enough / calls))


def share_out(steps: Sequence[T], plan: Plan) -> list[Sequence[T]]:
    """Steps in turn to the calls, so that what lies side by side is spread over them."""
    return [steps[call :: plan.calls] for call in range(plan.calls)]


def known(values: Sequence[float | None]) -> dict[str, float] | None:
    """The spread of the values that are there."""
    return spread([value for value in values if value is not None])

"""Was the question answered rightly? The answer's audio is transcribed back and searched for facts.

An expectation is a list of groups; the answer must contain one alternative of *every* group:

    (("8", "8:30"), ("monday", "weekday"))

What counts is what the caller could hear, so the judge listens (any decoder with `transcribe`; Whisper in
practice) instead of believing the server's text. `missing_facts` is the text part, alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Protocol

from engine.providers.base import Transcript
from engine.simulator.numbers import tokens

Expected = Sequence[Sequence[str]]


class Decoder(Protocol):
    def transcribe(self, audio: bytes, language: str = "en") -> Transcript: ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """`text`: what the judge heard. `missing`: the first alternative of each group that was not there."""

    text: str
    missing: tuple[str, ...]

    @property
    def right(self) -> bool:
        return not self.missing


def missing_facts(text: str, expected: Expected) -> tuple[str, ...]:
    """The first alternative of every group of which `text` contains none; empty when all is there."""
    said = tokens(text)
    return tuple(group[0] for group in expected if not any(_contains(said, fact) for fact in group))


def judge(answer: bytes, expected: Expected, decoder: Decoder, *, language: str = "en") -> Judgement:
    """Listen to an answer (mu-law 8,000 Hz) and look for the facts. Blocks while decoding.

    No answer has no facts in it: with an empty expectation only silence is wrong.
    """
    text = decoder.transcribe(answer, language).text if answer else ""
    missing = missing_facts(text, expected)
    return Judgement(text, missing if text else missing or ("an answer",))


def _contains(said: Sequence[str], fact: str) -> bool:
    wanted = tokens(fact)
    return _within(said, wanted) or _within(_joined(said), _joined(wanted))


def _within(said: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whole numbers only: 8 is not in 8 30, which is half past."""
    length = len(wanted)
    if not length:
        return False
    padded = ["", *said, ""]
    return any(
        padded[at : at + length] == wanted
        and not (wanted[0].isdigit() and padded[at - 1].isdigit())
        and not (wanted[-1].isdigit() and padded[at + length].isdigit())
        for at in range(1, len(said) - length + 2)
    )


def _joined(words: Sequence[str]) -> list[str]:
    """Neighbouring digits as one number: '5 5 5' and '555' are read alike."""
    joined: list[str] = []
    for are_digits, group in groupby(words, str.isdigit):
        run = list(group)
        joined.extend(["".join(run)] if are_digits else run)
    return joined

"""Is an answer right? Text against facts, and audio through a decoder."""

from __future__ import annotations

import pytest

from engine.providers.base import Transcript
from engine.simulator import recordings
from engine.simulator.judge import Expected, judge, missing_facts
from engine.simulator.numbers import tokens


@pytest.mark.parametrize(
    ("said", "same"),
    [
        ("eight", "8"),
        ("sixty", "60"),
        ("Sixty-five dollars.", "$65 dollars"),
        ("eight thirty a.m.", "8:30 AM"),
        ("eight o'clock", "8:00"),
        ("It costs 85.00", "it costs eighty five"),
        ("one hundred and twenty five", "125"),
        ("two thousand five hundred", "2,500"),
        ("a hundred", "100"),
        ("five hundred thousand and six", "500,006"),
        ("the twenty-first of March", "21st of March"),
        ("eighth floor", "the 8th floor"),
        ("don’t accept visitors", "dont accept visitor"),
        ("on Mondays", "on Monday"),
        ("the doctor's office", "doctor office"),
        ("8:30-5", "eight thirty to five"),
        ("nineteen", "19"),
        ("twenty percent", "20%"),
    ],
)
def test_the_same_said_in_other_ways(said: str, same: str) -> None:
    assert tokens(said) == tokens(same)


@pytest.mark.parametrize(
    ("text", "expected", "missing"),
    [
        ("We open at nine on Saturday.", [["9"]], ()),
        ("We open at 9:30.", [["9"]], ("9",)),
        ("We open at 19.", [["9"]], ("9",)),
        ("From eight to six.", [["8"], ["6"]], ()),
        ("From eight to seven.", [["8"], ["6"]], ("6",)),
        ("A check-up costs sixty dollars.", [["60", "65"]], ()),
        ("It is free of charge.", [["no charge", "free"]], ()),
        ("We never close", [["closed", "not open"]], ("closed",)),
        ("Call five five five, oh one oh oh.", [["555-0100"]], ()),
        ("Call 555 0100", [["five five five zero one zero zero"]], ()),
        ("The library.", [["the side entrance"]], ("the side entrance",)),
        ("", [["8"]], ("8",)),
        ("anything", [], ()),
        ("anything", [["..."]], ("...",)),
    ],
)
def test_one_alternative_of_every_group_must_be_there(
    text: str, expected: Expected, missing: tuple[str, ...]
) -> None:
    assert missing_facts(text, expected) == missing


def test_every_fact_of_the_recordings_can_be_said() -> None:
    facts = [fact for one in recordings.load() for group in one.facts for fact in group]
    assert facts
    assert all(missing_facts(f"Well, it is {fact}.", [[fact]]) == () for fact in facts)


class Ear:
    """A decoder that has heard `text`, whatever the audio."""

    def __init__(self, text: str) -> None:
        self.text = text

    def transcribe(self, audio: bytes, language: str = "en") -> Transcript:
        assert audio
        return Transcript(self.text, language)


def test_what_was_heard_decides() -> None:
    verdict = judge(b"\x00" * 800, [["8"], ["monday"]], Ear("Eight, on Mondays."))
    assert (verdict.right, verdict.text) == (True, "Eight, on Mondays.")
    assert judge(b"\x00" * 800, [["8"]], Ear("Nine.")).missing == ("8",)


def test_silence_is_never_right() -> None:
    assert judge(b"", [["8"]], Ear("Eight.")).missing == ("8",)
    assert not judge(b"", [], Ear("Eight.")).right
    assert not judge(b"\x00" * 800, [], Ear("")).right

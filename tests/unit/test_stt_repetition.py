"""Loops are suspected, what people say is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.providers.stt.repetition import (
    collapse_loops,
    compression_ratio,
    looping_phrase,
    suspicion,
    words,
)


@pytest.mark.parametrize(
    ("text", "speech_s"),
    [
        ("Hi, I would like to make an appointment for next Tuesday.", 3.0),
        ("No, no, no, no, that is not it.", 2.0),
        ("Five five five five, one two one two.", 3.0),
        ("It was the best of times, it was the worst of times.", 4.0),
        ("Yes yes.", 0.4),
        ("Hello? Hello? Are you there?", 2.0),
        ("", 1.0),
    ],
)
def test_speech_is_not_suspected(text: str, speech_s: float) -> None:
    assert suspicion(text, speech_s) is None


@pytest.mark.parametrize(
    ("text", "speech_s", "reason"),
    [
        ("It was the worst of times. " * 14, 2.5, "compression"),
        ("Fail again. Fail again. Fail again.", 2.5, "phrase of 2 words"),
        ("Are you open on Saturday? Are you open on Saturday?", 2.5, "phrase of 5 words"),
        ("you you you you you", 2.0, "phrase of 1 words"),
        (". . . . . . . . . . . . . . . . . . . . . . . . . .", 2.0, "compression"),
        ("a cat sat on her new red mat while we all ate up hot pie", 0.8, "15 words in 0.8 s"),
        ("我想我想我想我想预约", 2.0, "phrase of 2 words"),
    ],
)
def test_loops_are_suspected(text: str, speech_s: float, reason: str) -> None:
    assert reason in (suspicion(text, speech_s) or "")


def test_reasons_never_quote_the_caller() -> None:
    assert "secret" not in (suspicion("my secret number " * 3, 5.0) or "")


def test_words_keep_apostrophes_and_drop_punctuation() -> None:
    assert words("It's a café, o'clock - 42!") == ["it's", "a", "café", "o'clock", "42"]
    assert words(" . ' _ ") == []


def test_collapse_keeps_one_round_and_what_surrounds_it() -> None:
    assert collapse_loops("Well, " + "it was the worst of times. " * 9 + "The end.") == (
        "Well, it was the worst of times. The end."
    )
    assert collapse_loops("No, no, no. Try again. Try again.") == "No, no, no. Try again. Try again."


NUMBERS = ["one", "two", "three", "four", "five", "six", "seven"]
_text = st.lists(st.sampled_from(["the", "a", "cat", "sat,", "on", "mat.", "No"]), max_size=40).map(" ".join)


@given(_text)
def test_collapsing_only_drops_words_and_leaves_unsuspicious_text_alone(text: str) -> None:
    collapsed = collapse_loops(text)
    rest = iter(text.split())
    assert all(word in rest for word in collapsed.split())
    assert set(words(collapsed)) == set(words(text))
    if looping_phrase(text) is None:
        assert collapsed == text


@given(st.lists(st.sampled_from(NUMBERS), min_size=4, max_size=7, unique=True))
def test_every_phrase_said_in_a_loop_is_found(phrase: list[str]) -> None:
    assert looping_phrase(" ".join(phrase * 2)) == " ".join(phrase)
    assert looping_phrase(" ".join(phrase)) is None


@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    suspicion(text, 1.0)
    collapse_loops(text)
    assert compression_ratio(text) >= 0

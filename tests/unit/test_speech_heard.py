"""Which words were heard: whole words only, never more for less audio, all for all."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.speech.heard import heard_text
from engine.speech.normalise import normalise

texts = st.one_of(
    st.text(max_size=120),
    st.lists(
        st.sampled_from(
            ["We", "open", "at", "8:30,", "$60", "**now**", "Dr. Lee.", "你好", "555-123-4567", "😀", "\n"]
        ),
        max_size=25,
    ).map(" ".join),
)


@settings(max_examples=150, deadline=None)
@given(texts, st.integers(1, 80_000), st.lists(st.integers(0, 90_000), min_size=2, max_size=8))
def test_more_audio_never_means_fewer_words(text: str, total: int, heard: list[int]) -> None:
    spoken = normalise(text)
    results = [heard_text(spoken, total, samples) for samples in sorted(heard)]
    for shorter, longer in pairwise(results):
        assert longer.startswith(shorter)
    assert text.startswith(results[-1])
    assert heard_text(spoken, total, 0) == ""
    assert heard_text(spoken, total, total) == text


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.from_regex(r"[a-zA-Z]{1,9}[,.!?]?", fullmatch=True), min_size=1, max_size=20),
    st.integers(0, 40_000),
)
def test_only_whole_words_count(words: list[str], heard: int) -> None:
    text = " ".join(words)
    result = heard_text(normalise(text, "de"), 40_000, heard)
    assert result.split() == words[: len(result.split())]


def test_half_of_the_audio_is_about_half_of_the_words() -> None:
    text = "one two three four five six seven eight nine ten"
    result = heard_text(normalise(text), 3 * 8_000, 12_000)
    assert result in ("one two three four", "one two three four five")


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, "It costs"), (0.72, "It costs"), (0.97, "It costs $1,250")]
)
def test_a_rewritten_word_counts_once_all_of_its_words_were_said(share: float, expected: str) -> None:
    spoken = normalise("It costs $1,250 now.")
    assert spoken.text == "It costs one thousand two hundred and fifty dollars now."
    assert heard_text(spoken, 32_000, int(32_000 * share)) == expected
    assert heard_text(spoken, 32_000, 32_000) == "It costs $1,250 now."


def test_markdown_comes_back_as_written() -> None:
    spoken = normalise("We are **open** today until six in the evening.")
    assert heard_text(spoken, 24_000, 15_000).startswith("We are **open** today")


def test_a_piece_without_audio_was_heard_at_once() -> None:
    assert heard_text(normalise("😀"), 0, 0) == "😀"


def test_chinese_is_cut_between_its_signs() -> None:
    assert 1 < len(heard_text(normalise("我们今天开门到六点", "zh"), 24_000, 12_000)) < 9

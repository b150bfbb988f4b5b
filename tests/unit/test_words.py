"""The words model, with the starter weights: it knows a sentence that goes on from one that may be all."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import ProviderUnavailable, WeightsError
from engine.providers.turn.words import UNKNOWN, WordsModel, _ending
from engine.weights import folder


@pytest.fixture(scope="module")
def model() -> WordsModel:
    return WordsModel(folder("smollm2-135m"))


@pytest.mark.parametrize(
    ("begun", "whole"),
    [
        ("What time do you open on?", "What time do you open on Saturday?"),
        ("How much does a cleaning", "How much does a cleaning cost?"),
        ("Where can I park my", "Where can I park my car?"),
        ("Do I have to pay for", "Do I have to pay for parking?"),
        ("Is there access for wheel?", "Is there access for wheelchairs?"),
    ],
)
def test_whole_questions_sound_more_finished_than_begun_ones(
    model: WordsModel, begun: str, whole: str
) -> None:
    assert model.finished(begun) < 0.1 < model.finished(whole)


def test_marks_of_the_recogniser_say_nothing(model: WordsModel) -> None:
    assert model.finished("Where can I park my") == model.finished("Where can I park my?")


def test_no_words_are_no_evidence(model: WordsModel) -> None:
    assert model.finished(" ... ") == UNKNOWN


def test_any_text_has_an_answer(model: WordsModel) -> None:
    for text in ("word " * 2_000, "\u00fcber \U0001f600 \x00", "a\n" * 50):
        assert 0 <= model.finished(text) <= 1


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"holds 0 \.gguf files"):
        WordsModel(tmp_path)


def test_an_answer_without_probabilities_is_a_failure() -> None:
    with pytest.raises(ProviderUnavailable, match="gave no probabilities"):
        _ending({"error": "overloaded"})

"""When a turn is over: what the witnesses say, in sum."""

from __future__ import annotations

import pytest

from engine.dialog.endpoint import Evidence, leads_up, unfinished, wait_ms
from models import TurnTaking

SETTINGS = TurnTaking()


@pytest.mark.parametrize(
    "text",
    [
        "My number is 5 5 5",
        "I would like to",
        "It is spelled B R O",
        "My address is ann at example dot",
        "ann@example",
        "I live at, um,",
        "I was wondering if...",
    ],
)
def test_a_number_a_spelling_an_address_or_an_open_sentence_goes_on(text: str) -> None:
    assert unfinished(text)
    assert wait_ms(SETTINGS, Evidence(text, 0.99, 0.99)) == SETTINGS.patient_ms


@pytest.mark.parametrize(
    "text",
    ["I have a bad toothache.", "My daughter is five years old.", "When? I have a terrible toothache today."],
)
def test_a_statement_leads_up_to_something(text: str) -> None:
    assert leads_up(text)
    assert wait_ms(SETTINGS, Evidence(text, 0.99, 0.9)) == SETTINGS.unsure_ms


@pytest.mark.parametrize(
    "text",
    [
        "When do you open?",
        "which building is opposite the clinic.",
        "until what time are you open on Saturdays.",
        "I have a toothache. When should I call?",
        "so can I pay by card",
        "By card.",
        "Cleaning, please.",
    ],
)
def test_a_question_or_a_short_answer_does_not(text: str) -> None:
    assert not leads_up(text)
    assert wait_ms(SETTINGS, Evidence(text, 0.95, 0.6)) == SETTINGS.commit_ms


def test_the_more_sounds_unfinished_the_longer_it_waits() -> None:
    waits = [
        wait_ms(SETTINGS, Evidence("What time do you open?", intonation, words))
        for intonation, words in ((0.99, 0.7), (0.9, 0.05), (0.05, 0.05))
    ]
    assert waits == [SETTINGS.commit_ms, SETTINGS.unsure_ms, SETTINGS.patient_ms]


def test_one_witness_is_enough_and_none_is_a_moment() -> None:
    assert wait_ms(SETTINGS, Evidence("When do you open?", None, 0.9)) == SETTINGS.commit_ms
    assert wait_ms(SETTINGS, Evidence("When do you open?", 0.99, None)) == SETTINGS.commit_ms
    assert wait_ms(SETTINGS, Evidence("When do you open?")) == SETTINGS.unsure_ms
    assert Evidence("When do you open?").probability is None


def test_no_witness_is_believed_without_bounds() -> None:
    certain = Evidence("When do you open?", 1.0, 0.0).probability
    assert certain is not None
    assert 0 < certain < 1


def test_a_recogniser_that_doubts_its_words_heard_one_that_was_cut() -> None:
    sure, doubting = (
        wait_ms(SETTINGS, Evidence("Can I bring my dog?", 0.9, 0.4, avg_logprob))
        for avg_logprob in (-0.1, -0.5)
    )
    assert (sure, doubting) == (SETTINGS.commit_ms, SETTINGS.unsure_ms)


def test_a_question_of_few_words_is_seldom_all_and_an_answer_of_few_is() -> None:
    """Both models are as sure of each."""
    waits = [wait_ms(SETTINGS, Evidence(text, 0.97, 0.4)) for text in ("How much?", "Next Monday.")]
    assert waits == [SETTINGS.unsure_ms, SETTINGS.commit_ms]
    assert wait_ms(SETTINGS, Evidence("我想知道你们什么时候开门？", 0.97, 0.5)) == SETTINGS.commit_ms


def test_a_courtesy_is_complete_as_it_is() -> None:
    assert wait_ms(SETTINGS, Evidence("Goodbye.", 0.8, None, -0.7, courtesy=True)) == SETTINGS.commit_ms
    assert wait_ms(SETTINGS, Evidence("Goodbye.", 0.2, None, -0.7, courtesy=True)) == SETTINGS.unsure_ms
    assert wait_ms(SETTINGS, Evidence("Thank you very much.", 0.8, courtesy=True)) == SETTINGS.commit_ms

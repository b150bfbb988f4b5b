"""What a passage mentions of a question: the signal that tells 'near the topic' from 'answers it'."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.knowledge.coverage import SOUNDS_ALIKE, SYNONYM, coverage, sound_of, stands_alone, stem

WHITENING = "Prices: Teeth whitening costs 250 dollars."
ADDRESS = "Where we are: Our address is 14 Mill Lane, opposite the library."
DENTISTS = "Our dentists are Dr. Patel and Dr. Gomez."
WALK_INS = "Appointments: Walk-ins are not accepted, so please book before you come."
HOURS = "Opening hours: We are open Monday to Friday from 8 in the morning to 6 in the evening."
PAGE = [WHITENING, ADDRESS, DENTISTS, WALK_INS, HOURS]


def best(question: str) -> tuple[float, str]:
    shares = coverage(question, PAGE)
    assert shares is not None
    return max(zip(shares, PAGE, strict=True))


@pytest.mark.parametrize(
    ("question", "passage"),
    [
        ("How much is teeth whitening?", WHITENING),
        ("What would it cost to whiten my teeth?", WHITENING),
        ("Hi, this is John, I wanted to ask how much the whitening is", WHITENING),
        ("Where are you located?", ADDRESS),
        ("Where are you?", ADDRESS),
        ("Where is your clinic?", ADDRESS),
        ("Who are your doctors?", DENTISTS),
        ("Do you take walk-ins?", WALK_INS),
        ("Can I just walk in?", WALK_INS),
        ("What are your opening ours?", HOURS),
        ("When do you close on Thursdays?", HOURS),
        ("How much is teeth widening?", WHITENING),
    ],
)
def test_what_is_answered_is_covered(question: str, passage: str) -> None:
    share, found = best(question)
    assert found == passage
    assert share >= SOUNDS_ALIKE


@pytest.mark.parametrize(
    "question",
    [
        "How much is a root canal?",
        "Do you sell electric toothbrushes?",
        "Is Dr. Patel married?",
        "Do you have a pharmacy?",
        "Are you open on Christmas?",
        "What is the capital of France?",
        "Is there a restaurant nearby?",
    ],
)
def test_what_is_not_answered_is_not(question: str) -> None:
    assert best(question)[0] <= 0.5


def test_nothing_to_cover_says_so() -> None:
    assert coverage("Could you say that again, please?", PAGE) is None
    assert coverage("", PAGE) is None
    assert coverage("Where are you?", ["We speak English."]) is None
    assert coverage("How much is whitening?", []) == []


def test_a_synonym_is_worth_less_than_the_word() -> None:
    [exact] = coverage("Is there a fee?", ["There is a fee."]) or [0]
    [synonym] = coverage("Is there a charge?", ["There is a fee."]) or [0]
    assert (exact, synonym) == (1.0, SYNONYM)


@pytest.mark.parametrize(
    ("one", "other"),
    [("parking", "park"), ("cancellation", "cancel"), ("emergencies", "emergency"), ("closed", "close"),
     ("whitening", "whiten"), ("payments", "pay"), ("insurance", "insured"), ("walk-ins", "walkin")],
)  # fmt: skip
def test_inflections_meet(one: str, other: str) -> None:
    assert stem(one) == stem(other)


def test_different_words_do_not_sound_alike() -> None:
    assert sound_of("except") == sound_of("accept")
    assert sound_of("patience") == sound_of("patients")
    assert sound_of("canal") != sound_of("cancel")
    assert sound_of("braces") != sound_of("prices")
    assert sound_of("found") != sound_of("find")
    assert sound_of("a") == sound_of("") == ""


def test_a_question_that_names_nothing_leans_on_the_one_before() -> None:
    assert stands_alone("And on Saturday?")
    assert stands_alone("Do you have a pharmacy?")
    assert not stands_alone("And how much is it?")
    assert not stands_alone("Why?")


@given(st.text(max_size=200), st.lists(st.text(max_size=200), max_size=4))
def test_any_text_gives_a_share(question: str, page: list[str]) -> None:
    shares = coverage(question, page)
    assert shares is None or (len(shares) == len(page) and all(0 <= share <= 1 for share in shares))

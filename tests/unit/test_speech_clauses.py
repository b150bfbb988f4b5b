"""The clause cutter: what goes out first, what stays whole, and that deltas do not matter."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.speech.clauses import ClauseCutter


def cut(text: str) -> list[str]:
    cutter = ClauseCutter()
    return cutter.push(text) + cutter.end()


def test_the_first_clause_goes_out_before_the_sentence_is_complete() -> None:
    cutter = ClauseCutter()
    assert cutter.push("We are open until six today, and on ") == ["We are open until six today, "]
    assert cutter.push("Saturdays until noon. ") == ["and on Saturdays until noon. "]
    assert cutter.end() == []


def test_what_would_be_left_over_as_a_fragment_stays() -> None:
    assert cut("We are open until six, sir. Bye.") == ["We are open until six, sir. ", "Bye."]
    assert cut("We are open until six, thank you. Bye.") == ["We are open until six, thank you. ", "Bye."]


def test_where_a_pause_is_natural_three_words_are_enough() -> None:
    assert cut("In an emergency, such as a bad toothache, call us.") == [
        "In an emergency, ",
        "such as a bad toothache, call us.",
    ]
    assert cut("At night, when we are closed, call the other number.")[0] == "At night, when we are closed, "
    assert cut("Yes, of course, you can pay by card, by cash or by check.") == [
        "Yes, of course, ",
        "you can pay by card, by cash or by check.",
    ]
    assert cut("You can pay by cash or by card.") == ["You can pay by cash or by card."]


def test_a_list_is_not_cut_between_its_items() -> None:
    assert cut("We have it in blue, green, red, and black. Fine.")[0].endswith("black. ")


def test_after_a_very_short_sentence_the_next_clause_is_still_early() -> None:
    assert cut("Yes. We open at eight on weekdays, and we close at six.") == [
        "Yes. ",
        "We open at eight on weekdays, ",
        "and we close at six.",
    ]


def test_later_sentences_stay_whole() -> None:
    text = "I can help you with that. Our office is on Main Street, next to the bank, and parking is free. "
    assert cut(text)[1:] == ["Our office is on Main Street, next to the bank, and parking is free. "]


def test_a_clause_may_begin_with_a_conjunction() -> None:
    assert cut("The office is closed for the holidays but you can leave a message.") == [
        "The office is closed for the holidays ",
        "but you can leave a message.",
    ]
    assert len(cut("We sell fresh bread and cakes and coffee and tea every day.")) == 1


@pytest.mark.parametrize(
    "text",
    [
        "It costs 1,000 or 3.5 times that",
        "Come in at 8:30 or at 9:15 in the morning",
        "Ask for Dr. Smith or Mrs. J. R. Lee at the desk",
        "Bring a document e.g. your passport",
        "It was on March 3, 2025 at noon",
        "Write to ann.lee@acme.co.uk or see https://acme.com/a,b;c?d=1.2 for more",
        "We are at No. 5 St. James Ave. near the U.S. bank",
        "We open at 8 a.m. Monday to Friday",
        "That is 3.5 percent, roughly",
        "1. Bring your card",
        "The [price list, in full](https://acme.com) is online",
    ],
)
def test_these_stay_whole(text: str) -> None:
    assert cut(text) == [text]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("No. We are closed.", "No. "),
        ("We open at 8 a.m. Please call then.", "We open at 8 a.m. "),
        ("That is Acme Inc. We are open.", "That is Acme Inc. "),
        ('She said "yes." Then she left.', 'She said "yes." '),
        ("It was **great!** Then we left.", "It was **great!** "),
        ("It is 8. Call then.", "It is 8. "),
        ("Bring:\n- a card\n- a pen", "Bring:\n"),
        ("We are closed today—you can come back tomorrow.", "We are closed today—"),
        ("We are closed right now – you can come back tomorrow.", "We are closed right now – "),
        ("我们今天开门。明天休息。", "我们今天开门。"),
    ],
)
def test_the_first_piece_ends_here(text: str, first: str) -> None:
    assert cut(text)[0] == first


def test_a_very_long_sentence_is_cut_at_a_clause() -> None:
    clause = "you can bring the form to the front desk on any day of the week"
    pieces = cut("Please note. " + f"{clause}, " + f"and {clause}, " * 3 + "and then you wait.")
    assert all(len(piece.split()) <= 36 for piece in pieces)
    assert all(piece.rstrip().endswith((",", ".")) for piece in pieces)


def test_without_any_punctuation_the_buffer_stays_bounded() -> None:
    assert max(len(piece.split()) for piece in cut("word " * 500)) == 36
    assert max(len(piece) for piece in cut("x" * 5000)) == 400


WORDS = (
    "Yes. We open at 8:30, or $1,000.50; Dr. Smith a.m. No. e.g. but and you - — – ... today— (see [a] "
    "**b,** ok? \n U.S. J. 😀 你好。 谢谢， acme.com, 1. 3 it's"
)
words = st.sampled_from(WORDS.split(" "))
texts = st.one_of(st.lists(words, max_size=60).map(" ".join), st.text(max_size=300))


@settings(max_examples=150, deadline=None)
@given(texts, st.lists(st.integers(0, 400), max_size=12))
def test_any_split_of_the_deltas_gives_the_same_pieces_and_loses_nothing(text: str, at: list[int]) -> None:
    cutter = ClauseCutter()
    pieces: list[str] = []
    bounds = [0, *sorted(min(position, len(text)) for position in at), len(text)]
    for start, end in pairwise(bounds):
        pieces += cutter.push(text[start:end])
    pieces += cutter.end()
    assert "".join(pieces) == text
    assert pieces == cut(text)
    assert all(pieces)
    assert all(len(piece) <= 400 for piece in pieces)

"""A reply that goes on says nothing twice."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.providers.llm.continuation import RepeatStripper


def stream(begun: str, pieces: list[str]) -> str:
    stripper = RepeatStripper(begun)
    return "".join([*(stripper.push(piece) for piece in pieces), stripper.end()])


@pytest.mark.parametrize(
    ("begun", "said", "new"),
    [
        ("We are open from", " 8 to 6.", " 8 to 6."),
        ("We are open from", "We are open from 8 to 6.", " 8 to 6."),
        ("We are open from", "we are open, from 8 to 6.", " 8 to 6."),
        ("We are open from", "open from 8 to 6.", " 8 to 6."),
        ("We are open from", "from 8 to 6.", " 8 to 6."),
        ("We are open from", "We are not.", "We are not."),
        ("We are open", "We are opening soon.", "We are opening soon."),
        ("We are open", "We are open.", ""),
        ("We are open.", "We are", "We are"),
        ("We are open.", "On Saturday too.", "On Saturday too."),
        ("", "We are open.", "We are open."),
        ("We are open", "", ""),
        ("It is it is", "it is free", " free"),
    ],
)
def test_a_repeated_beginning_is_dropped(begun: str, said: str, new: str) -> None:
    assert stream(begun, [said]) == new
    assert stream(begun, list(said)) == new


def test_new_text_is_not_held_back() -> None:
    stripper = RepeatStripper("We are open from Monday")
    assert stripper.push(" to Friday") == " to Friday"
    assert stripper.push(", and") == ", and"


def test_a_possible_repetition_is_held_back_until_it_is_decided() -> None:
    stripper = RepeatStripper("We are open")
    assert stripper.push("We ar") == ""
    assert stripper.push("e closed") == "We are closed"


text = st.text("ab .", max_size=30)


@settings(max_examples=50, deadline=None)
@given(text, st.lists(text, max_size=8))
def test_how_it_is_cut_into_pieces_makes_no_difference(begun: str, pieces: list[str]) -> None:
    assert stream(begun, pieces) == stream(begun, ["".join(pieces)])


@settings(max_examples=50, deadline=None)
@given(text, st.lists(text, max_size=8))
def test_only_a_beginning_is_ever_dropped(begun: str, pieces: list[str]) -> None:
    said = "".join(pieces)
    assert said.endswith(stream(begun, pieces))


@settings(max_examples=50, deadline=None)
@given(st.text("abc ", min_size=1, max_size=40).filter(str.strip), st.text("xyz ", max_size=20))
def test_a_full_repetition_leaves_what_is_new(begun: str, rest: str) -> None:
    assert stream(begun, [begun.strip() + " " + rest]).split() == rest.split()

"""What is said for what is written, and the way back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.speech.english.numbers import cardinal, ordinal
from engine.speech.normalise import normalise

ENGLISH = {
    # money
    "$60": "sixty dollars",
    "$1": "one dollar",
    "$0.99": "ninety-nine cents",
    "$1,250.50": "one thousand two hundred and fifty dollars and fifty cents",
    "$60-80": "sixty to eighty dollars",
    "$60–$80/hr": "sixty to eighty dollars per hour",
    "$1.5 million": "one point five million dollars",
    "£5.01": "five pounds and one penny",
    "20 €": "twenty euros",
    # times and days
    "8 am": "eight AM",
    "8:30": "eight thirty",
    "12:05 pm": "twelve oh five PM",
    "10:00": "ten o'clock",
    "14:30": "two thirty PM",
    "8-6": "eight to six",
    "8am-6pm": "eight AM to six PM",
    "Mon-Fri 8-6": "Monday to Friday eight to six",
    "Monday–Friday: 8:00 AM – 6:00 PM": "Monday to Friday: eight AM to six PM",
    "open Mon, Wed and Sat.": "open Monday, Wednesday and Saturday.",
    "We open at 8 a.m. tomorrow": "We open at eight AM tomorrow",
    "We close at 6 p.m. Please call": "We close at six PM. Please call",
    "The sun is up, Sun city": "The sun is up, Sun city",
    # dates and years
    "March 3rd, 2025": "March third, twenty twenty-five",
    "March 3-5": "March third to fifth",
    "3 March 2025": "the third of March, twenty twenty-five",
    "3/14/2025": "March fourteenth, twenty twenty-five",
    "14/03/2025": "March fourteenth, twenty twenty-five",
    "2025-03-14": "March fourteenth, twenty twenty-five",
    "in 1984": "in nineteen eighty-four",
    "since 2005": "since two thousand five",
    "1990s": "nineteen nineties",
    "you may 5": "you may five",
    # telephone numbers and codes
    "555-123-4567": "five five five, one two three, four five six seven",
    "Call (415) 555-0100.": "Call four one five, five five five, zero one zero zero.",
    "+44 20 7946 0958": "plus four four, two zero, seven nine four six, zero nine five eight",
    "TX 78701": "TX seven eight seven zero one",
    "Room 101": "Room one zero one",
    "your order is 1250 dollars": "your order is one thousand two hundred and fifty dollars",
    "911": "nine one one",
    # numbers
    "1,000": "one thousand",
    "3.5": "three point five",
    "21st": "twenty-first",
    "50%": "fifty percent",
    "5-10%": "five to ten percent",
    "2 1/2 cups": "two and a half cups",
    "24/7": "twenty-four seven",
    "-5°C": "minus five degrees Celsius",
    "10+ years": "ten or more years",
    "A12 and v3.5.1": "A12 and v3.5.1",
    "3,5": "3,5",
    # abbreviations
    "Dr. Smith": "Doctor Smith",
    "St. John": "Saint John",
    "on Main St. near": "on Main Street near",
    "12 Main St. Suite 5": "twelve Main Street Suite five",
    "e.g. a card": "for example a card",
    "and so on, etc.": "and so on, et cetera.",
    "No. 5, #6": "number five, number six",
    "5 min.": "five minutes.",
    "1 lb & 10 lbs": "one pound and ten pounds",
    # addresses
    "info@acme.com.": "info at acme dot com.",
    "j.smith99@mail.co.uk": "j dot smith nine nine at mail dot co dot uk",
    "https://www.acme.com/a-b?c=d": "w w w dot acme dot com slash a dash b",
    # markdown and emoji
    "**bold** and *soft* `code`": "bold and soft code",
    "# Title\n- one\n- two": "Title. one. two",
    "[our prices](https://a.com/x)": "our prices",
    "| a | b |\n|---|---|\n| c | d |": "a, b. c, d",
    "😀 hi 👍🏽": "hi",
    "😀": "",
    "well **half": "well half",
}


@pytest.mark.parametrize(("written", "spoken"), ENGLISH.items())
def test_english(written: str, spoken: str) -> None:
    assert normalise(written).text == spoken


def test_other_languages_keep_their_figures() -> None:
    assert (
        normalise("Das kostet **60 €** am 3. März, z.B. um 8:30 😀", "de").text
        == "Das kostet 60 € am 3. März, z.B. um 8:30"
    )


def test_a_place_in_the_spoken_text_is_a_place_in_the_written_one() -> None:
    spoken = normalise("Pay **$60** at 8:30.")
    assert spoken.text == "Pay sixty dollars at eight thirty."
    assert spoken.written[: spoken.written_position(len("Pay"))] == "Pay"
    assert spoken.written[: spoken.written_position(len("Pay sixty"))] == "Pay **"
    assert spoken.written[: spoken.written_position(len("Pay sixty dollars at"))] == "Pay **$60** at"
    assert spoken.written[: spoken.written_position(len("Pay sixty dollars at eight"))] == "Pay **$60** at "
    assert spoken.written_position(len(spoken.text)) == len(spoken.written)


TOKENS = (
    "$60 8:30 8-6 Mon-Fri 555-123-4567 1,000 3.5 21st 50% Dr. St. e.g. a@b.co x.com/y # ** [a](b) 😀 \n | & "
    "/ + - ° 1/2 March 3 2025 am p.m. No. 0 007 123456789012345678901234567890 $ € k 9k 1st. 99/99/99 25:61 "
    "'90s ² ٣"
)
tokens = st.sampled_from(TOKENS.split(" "))


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(
        st.text(max_size=80),
        st.lists(tokens, max_size=15).map(" ".join),
        st.lists(tokens, max_size=8).map("".join),
    ),
    st.sampled_from(["en", "de"]),
)
def test_any_text_is_taken_and_the_way_back_never_turns(text: str, language: str) -> None:
    spoken = normalise(text, language)
    positions = [spoken.written_position(count) for count in range(len(spoken.text) + 1)]
    assert positions == sorted(positions)
    assert positions[-1] == len(text)
    assert all(0 <= position <= len(text) for position in positions)
    assert spoken.text == spoken.text.strip()


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(st.integers(0, 2_000), st.integers(0, 10**15 - 1), st.sampled_from([10**n for n in range(15)]))
)
def test_numbers_are_spelled_as_a_library_for_it_spells_them(number: int) -> None:
    library = pytest.importorskip("num2words")
    assert cardinal(str(number)) == library.num2words(number).replace(",", "")
    assert ordinal(str(number)) == library.num2words(number, to="ordinal").replace(",", "")

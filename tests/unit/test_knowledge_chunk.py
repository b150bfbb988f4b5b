"""Documents become passages that stand on their own, and nothing in them is lost."""

import itertools
import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import demo
from engine.errors import DocumentError
from engine.knowledge.chunk import MAX_SENTENCES, MAX_WORDS, OVERLAP_WORDS, RECORD, Document, chunk


def passages(text: str) -> list[str]:
    return [each.text for each in chunk(Document.from_text("acme", "doc", "doc.txt", text))]


def contexts(text: str) -> list[str]:
    return [each.context for each in chunk(Document.from_text("acme", "doc", "doc.txt", text))]


def test_clinic_page_has_one_fact_a_passage() -> None:
    found = passages(demo.knowledge())
    assert "A check-up costs 60 dollars." in found
    assert "We are closed on Sunday." in found
    assert "Our dentists are Dr. Patel and Dr. Gomez." in found
    assert all(len(text.split()) <= 30 for text in found)
    assert 15 <= len(found) <= 30


def test_both_demo_pages_answer_the_same_questions_differently() -> None:
    clinic, garden = (
        {each.heading for each in chunk(Document.from_text("acme", name, name, demo.knowledge(name)))}
        for name in ("clinic", "garden")
    )
    assert {
        "Opening hours",
        "Where we are",
        "Prices",
        "Emergencies",
        "Payment",
        "Languages",
    } <= clinic & garden
    assert not set(passages(demo.knowledge("clinic"))) & set(passages(demo.knowledge("garden")))


def test_sentences_are_not_cut_at_abbreviations_or_times() -> None:
    text = "Dr. Patel is in from 8 a.m. to 6 p.m. on Friday, until 3.30. Ask for ext. 5 on 8 a.m. Monday."
    assert passages(text) == [
        "Dr. Patel is in from 8 a.m. to 6 p.m. on Friday, until 3.30.",
        "Ask for ext. 5 on 8 a.m. Monday.",
    ]
    assert passages("We close at 6 p.m. The phone is answered until 8.") == [
        "We close at 6 p.m.",
        "The phone is answered until 8.",
    ]


def test_a_sentence_that_leans_on_another_stays_with_it() -> None:
    assert passages("Whitening takes one hour. It costs 250 dollars. Parking is free.") == [
        "Whitening takes one hour. It costs 250 dollars.",
        "Parking is free.",
    ]


def test_list_items_and_table_lines_carry_their_heading() -> None:
    assert passages("## Prices\n\n- Check-up: 60 dollars\n- Cleaning: 85 dollars\n") == [
        "Prices: Check-up: 60 dollars",
        "Prices: Cleaning: 85 dollars",
    ]
    assert passages("Opening hours:\nMonday 8 to 6\nSaturday 9 to 1\n") == [
        "Opening hours: Monday 8 to 6",
        "Opening hours: Saturday 9 to 1",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "# Clinic\n\n## Parking\n\nIt is free.",
        "Clinic\n======\n\nParking\n-------\nIt is free.",
        "Parking\n\nIt is free.",
        "Parking\nIt is free.",
        "Parking:\r\nIt is free.\r\n",
    ],
)
def test_headings_in_every_spelling_are_context(text: str) -> None:
    assert contexts(text)[-1] == "Parking: It is free."


def test_subheadings_keep_their_heading_and_titles_are_dropped() -> None:
    text = "# Clinic\n\nHello there everyone.\n\n## Prices\n\n### Children\n\nA check-up costs 40 dollars.\n"
    assert contexts(text) == [
        "Clinic: Hello there everyone.",
        "Prices, Children: A check-up costs 40 dollars.",
    ]


def test_hard_wrapped_prose_is_joined() -> None:
    text = "In an emergency, such as a bad toothache or a broken tooth,\ncall us before 9 in the morning.\n"
    assert passages(text) == [" ".join(text.split())]


def test_facts_that_look_like_headings_are_not_lost() -> None:
    assert passages("Closed on Mondays\n\nMon to Fri 8 to 6\n\nSat 9 to 1\n") == [
        "Closed on Mondays: Mon to Fri 8 to 6",
        "Closed on Mondays: Sat 9 to 1",
    ]
    assert passages("No dogs allowed") == ["No dogs allowed"]


def test_markdown_marks_are_not_spoken() -> None:
    assert passages("We are **open** on _Monday_, see [our site](https://example.org).") == [
        "We are open on Monday, see our site."
    ]


def test_nothing_to_read_is_refused() -> None:
    with pytest.raises(DocumentError, match=r"'empty.txt' holds no text"):
        Document.from_text("acme", "doc", "empty.txt", " \n\t\n")


def test_source_and_page_are_kept_and_ids_are_stable() -> None:
    document = Document("acme", "doc", "doc.pdf", ((1, "Page one says this."), (2, "Page two says that.")))
    first, second = chunk(document)
    assert (first.source, first.page, second.page) == ("doc.pdf", 1, 2)
    assert chunk(document) == [first, second]
    other = chunk(Document("acme2", "doc", "doc.pdf", document.pages))
    assert len({uuid.UUID(each.id) for each in (first, second, *other)}) == 4


WORDS = st.sampled_from(
    ["We", "are", "open.", "It", "costs", "#", "-", "60", "dollars,", "Dr.", "Prices:", "1)"]
)
MARKS = st.sampled_from(["", "# Title", "## Part", "- item one", "====", "----", "Heading:"])
PROSE = st.lists(WORDS, max_size=90).map(" ".join)
LINES = st.lists(st.one_of(st.text(st.characters(codec="utf-8"), max_size=80), PROSE, MARKS), max_size=12)


@given(LINES)
def test_any_text_gives_passages_within_limits_and_no_word_is_lost(lines: list[str]) -> None:
    text = "\n".join(lines)
    if not text.strip():
        return
    chunks = chunk(Document.from_text("acme", "doc", "doc.txt", text))
    assert len({each.id for each in chunks}) == len(chunks)
    for each in chunks:
        own = each.text.removeprefix(f"{each.heading}: ") if each.heading else each.text
        assert own.strip()
        assert len(own.split()) <= MAX_WORDS
    kept = " ".join(each.context for each in chunks)
    for word in ("costs", "open", "dollars", "Title"):
        assert (word in text) <= (word in kept)


def test_long_sentences_are_cut_at_a_comma() -> None:
    text = ", ".join(f"item {number} is here" for number in range(60)) + "."
    found = passages(text)
    assert all(len(each.split()) <= MAX_WORDS for each in found)
    assert all(each.endswith((",", ".")) for each in found)
    assert " ".join(found) == text


def test_words_without_any_mark_are_cut_with_some_repeated_and_keep_their_page() -> None:
    words = [f"word{number}" for number in range(5000)]
    found = chunk(Document("acme", "doc", "doc.pdf", ((4, " ".join(words)),)))
    assert {each.page for each in found} == {4}
    parts = [each.text.split() for each in found]
    assert all(len(part) <= MAX_WORDS for part in parts)
    for part, following in itertools.pairwise(parts):
        assert part[-OVERLAP_WORDS:] == following[:OVERLAP_WORDS]
    assert [*parts[0], *(word for part in parts[1:] for word in part[OVERLAP_WORDS:])] == words


def test_a_record_is_one_passage_and_a_paragraph_beside_it_is_not() -> None:
    rows = f"{RECORD}Name: Crown. Price: 900 dollars.\n{RECORD}Sat. Sun."
    assert contexts(f"Prices\n{rows}\nWe open at eight. Parking is free.") == [
        "Prices: Name: Crown. Price: 900 dollars.",
        "Prices: Prices: Sat. Sun.",
        "Prices: We open at eight.",
        "Prices: Parking is free.",
    ]


HOSTILE = [
    "[",
    "[](",
    "[a",
    "# " + "#",
    " #",
    "A. ",
    ". (",
    "**_",
    "x",
    "x ",
    "\n# x",
    "\x1e",
    "-\n",
    "1) ",
    "a: ",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_text_takes_time_in_proportion_to_its_length(piece: str) -> None:
    started = time.process_time()
    found = chunk(Document("acme", "doc", "doc.txt", ((None, "x " + piece * 100_000 + "x"),)))
    assert time.process_time() - started < 5
    assert all(len(each.context) < 20_000 for each in found)


def test_at_most_three_sentences_a_passage() -> None:
    found = passages("One thing first. " + "It goes on. " * 9)
    assert [each.count(".") for each in found] == [MAX_SENTENCES, MAX_SENTENCES, MAX_SENTENCES, 1]

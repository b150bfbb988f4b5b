"""Files of every kind become text that stands on its own; the wrong ones say what to upload instead."""

import codecs
import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as budget
from hypothesis import strategies as st

from engine.errors import DocumentError
from engine.knowledge.chunk import Document, chunk
from engine.knowledge.parse.kind import OLE, SUFFIXES, Kind, detect
from engine.knowledge.parse.limits import Limits, Pages, ParsedDocument
from engine.knowledge.parse.pdf import tidy
from engine.knowledge.parse.reading import read
from tests.unit import parse_files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(64)


class Reader:
    def __init__(self, folder: Path) -> None:
        self._path = folder / "upload"

    def __call__(self, name: str, content: bytes, limits: Limits = Limits()) -> ParsedDocument:  # noqa: B008
        self._path.write_bytes(content)
        return read(self._path, name, limits)


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    return Reader(tmp_path)


def passages(pages: Pages) -> list[str]:
    return [each.text for each in chunk(Document("acme", "doc", "doc", pages))]


def test_pdf_pages_keep_their_numbers(reader: Reader) -> None:
    content = parse_files.pdf(["We open at eight."], [], ["Parking is free."])
    document = reader("clinic.pdf", content)
    assert document == ParsedDocument(((1, "We open at eight."), (3, "Parking is free.")), "application/pdf")
    assert [each.page for each in chunk(Document("a", "d", "clinic.pdf", document.pages))] == [1, 3]


def test_pdf_words_at_line_ends_are_whole_again_and_repeated_lines_go() -> None:
    facts = ["A check-", "up costs 60 dol-\nlars.", "It is short."]
    pages = [f"Acme Clinic\n{fact}\nSee us.\nPage {number} of 3" for number, fact in enumerate(facts, 1)]
    assert tidy(pages) == [
        "Acme Clinic\nA check-\nSee us.",
        "up costs 60 dollars.",
        "It is short.",
    ]


def test_pdf_figures_that_differ_are_facts() -> None:
    pages = [f"Room {price}0 costs {price}5 dollars.\nBook early on day {price}." for price in range(3, 9)]
    assert tidy(pages) == pages


def test_a_pdf_with_an_owner_password_only_is_read(reader: Reader) -> None:
    content = parse_files.protected_pdf(parse_files.pdf(["We open at eight."]), user="", owner="secret")
    assert reader("clinic.pdf", content).pages == ((1, "We open at eight."),)


def test_word_headings_lists_and_tables(reader: Reader) -> None:
    document = reader("clinic.docx", parse_files.word())
    assert document.media_type == Kind.DOCX
    chunks = chunk(Document("acme", "doc", "clinic.docx", document.pages))
    assert [(each.heading, each.text) for each in chunks][1:] == [
        ("Prices", "All prices include tax."),
        ("Prices", "Prices: No deposit is asked for"),
        ("Prices", "Name: Cleaning, Price: 85 dollars."),
        ("Prices", "Name: Crown, Price: 900 dollars."),
        ("Prices, Parking", "Parking is free."),
    ]


ROWS = "Name{0}Price{0}Note\nCleaning{0}85 dollars{0}Takes an hour. Bring a towel.\nCrown{0}900 dollars{0}\n"
SAID = [
    "Name: Cleaning. Price: 85 dollars. Note: Takes an hour. Bring a towel.",
    "Name: Crown. Price: 900 dollars.",
]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_csv_row_is_one_passage_that_names_its_figures(reader: Reader, delimiter: str) -> None:
    document = reader("prices.csv", ROWS.format(delimiter).encode())
    assert passages(document.pages) == SAID
    assert document.media_type == "text/csv"


def test_csv_without_names_of_one_column_and_with_excels_first_line(reader: Reader) -> None:
    assert passages(reader("p.csv", b"Cleaning,85\nCrown,900\n").pages) == ["Cleaning. 85.", "Crown. 900."]
    assert passages(reader("p.csv", b"We open at eight.\nParking is free.\n").pages) == [
        "We open at eight.",
        "Parking is free.",
    ]
    assert passages(reader("p.csv", b"sep=;\nName;Price\nA, or B;85 dollars\n").pages) == [
        "Name: A, or B. Price: 85 dollars."
    ]


def test_a_long_csv_row_is_cut_between_sentences(reader: Reader) -> None:
    note = "One two three four five six. " * 20
    found = passages(reader("p.csv", f"Name,Note\nCleaning,{note}\n".encode()).pages)
    assert len(found) > 1
    assert all(len(each.split()) <= 60 and each.endswith(".") for each in found)


def test_an_unclosed_quotation_mark_is_named_by_its_line(reader: Reader) -> None:
    with pytest.raises(DocumentError, match=r"line \d+ of 'p.csv' .* check its quotation marks"):
        reader("p.csv", b'Name,Price\n"Cleaning,85\n' + b"Crown,900\n" * 20_000)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_in_every_encoding(reader: Reader, encoding: str) -> None:
    text = "Crème brûlée costs 9 €.\r\n"
    assert reader("menu.txt", text.encode(encoding)).pages == ((None, "Crème brûlée costs 9 €.\n"),)
    [row] = passages(reader("menu.csv", f"Name;Price\n{text.strip()};9 €".encode(encoding)).pages)
    assert row == "Name: Crème brûlée costs 9 €. Price: 9 €."


def test_an_uploaded_text_cannot_pass_for_a_table_row(reader: Reader) -> None:
    assert passages(reader("a.md", b"\x1eOne thing is here. Another thing is here." + b" " * 300).pages) == [
        "One thing is here.",
        "Another thing is here.",
    ]


REFUSED = [
    ("a.pdf", PNG, "is no PDF but a PNG picture: upload"),
    ("a.pdf", b"Just words.", "is no PDF but plain text"),
    ("a.pdf", b"%PDF-1.7\nnothing of the kind", "is a damaged PDF"),
    ("a.pdf", parse_files.pdf([], []), "contains only pictures"),
    (
        "a.pdf",
        parse_files.protected_pdf(parse_files.pdf(["Secret."]), user="x", owner="y"),
        "is protected with a password",
    ),
    ("a.docx", parse_files.zipped(readme=b"hello"), "is a zip file but no Word document"),
    ("a.docx", OLE + bytes(600), "protected with a password or of an old Word format"),
    ("a.docx", PNG, "is no Word document but a PNG picture"),
    ("a.docx", parse_files.zipped(word__document__xml=b"x"), "no Word document"),
    ("a.docx", parse_files.word()[:3000], "damaged Word document"),
    ("a.docx", parse_files.word_with("word/document.xml", b"<w:broken"), "damaged Word document"),
    ("a.txt", bytes(range(256)) * 4, "binary data"),
    ("a.txt", b"%PDF-1.7", "is no text but a PDF file"),
    ("a.txt", codecs.BOM_UTF16_LE + b"\x00\xd8x", "damaged UTF-16"),
    ("a.txt", b"\x81 is nothing", "unknown encoding"),
    ("a.md", b"  <!DOCTYPE HTML>", "a web page"),
    ("a.csv", b"\n,,\n", "holds no text"),
    ("a.txt", b" \n", "holds no text"),
    ("a.txt", b"", "is empty"),
    ("a.doc", b"x", "save it as .docx"),
    ("a.xlsx", b"x", "save the sheet as CSV"),
    ("a", b"x", "upload a PDF, DOCX, TXT, Markdown or CSV file"),
]


@pytest.mark.parametrize(("name", "content", "why"), REFUSED, ids=[f"{r[0]} {r[2][:30]}" for r in REFUSED])
def test_what_cannot_be_read_says_what_to_do(reader: Reader, name: str, content: bytes, why: str) -> None:
    with pytest.raises(DocumentError, match=f"^'{name}' .*{why}") as caught:
        reader(name, content)
    assert "\n" not in str(caught.value)


def test_limits(reader: Reader) -> None:
    with pytest.raises(DocumentError, match=r"has 30 pages, and 20 can be read: split it"):
        reader("a.pdf", parse_files.pdf(*[["Page."]] * 30), Limits(pages=20))
    with pytest.raises(DocumentError, match="unpacks to more than"):
        reader("a.pdf", parse_files.pdf_of_streams([b" " * 3_000_000]), Limits(unpacked_bytes=2_000_000))
    with pytest.raises(DocumentError, match="unpacks to more than"):
        reader("a.pdf", parse_files.pdf_of_streams([b" " * 900_000] * 3), Limits(unpacked_bytes=2_000_000))
    bomb = parse_files.word_with("word/document.xml", b" " * 3_000_000)
    with pytest.raises(DocumentError, match="unpacks to more than"):
        reader("a.docx", bomb, Limits(unpacked_bytes=2_000_000))
    with pytest.raises(DocumentError, match=r"more than 0\.001 MB of text"):
        reader("a.txt", b"word " * 300, Limits(text_bytes=1000))
    with pytest.raises(DocumentError, match=r"more than 0\.001 MB of text"):
        reader("a.pdf", parse_files.pdf(["word " * 300]), Limits(text_bytes=1000))
    with pytest.raises(DocumentError, match="is larger than 1 MiB"):
        reader("a.txt", b"x" * (1 << 20) + b"x", Limits(file_bytes=1 << 20))


def test_a_zip_that_lies_about_its_sizes_unpacks_no_further(reader: Reader) -> None:
    bomb = bytearray(parse_files.word_with("word/document.xml", b" " * 3_000_000))
    true_size = (3_000_000).to_bytes(4, "little")
    assert true_size in bomb
    with pytest.raises(DocumentError, match=r"damaged Word document|unpacks to more than"):
        reader("a.docx", bytes(bomb.replace(true_size, (100).to_bytes(4, "little"))))


def test_a_deep_word_document_is_refused(reader: Reader) -> None:
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 9))
    laughs = f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]><x>&a8;</x>'.encode()
    with pytest.raises(DocumentError, match="damaged Word document"):
        reader("a.docx", parse_files.word_with("word/document.xml", laughs))


SAMPLES = st.sampled_from(
    [parse_files.pdf(["We open.", "At eight."]), parse_files.word(), ROWS.format(",").encode()]
)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A real file with a piece of it replaced."""
    content = draw(SAMPLES)
    start = draw(st.integers(0, len(content)))
    end = draw(st.integers(start, min(len(content), start + 200)))
    return content[:start] + draw(st.binary(max_size=50)) + content[end:]


@budget(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(sorted(SUFFIXES)),
    st.one_of(st.binary(max_size=2000), broken(), st.text().map(str.encode)),
)
def test_any_bytes_under_any_name_are_read_or_refused(reader: Reader, suffix: str, content: bytes) -> None:
    try:
        document = reader(f"a{suffix}", content)
    except DocumentError:
        return
    assert any(text.strip() for _, text in document.pages)


@given(st.text(max_size=20), st.binary(max_size=300))
def test_any_name_is_a_kind_or_refused(name: str, head: bytes) -> None:
    with contextlib.suppress(DocumentError):
        assert isinstance(detect(name, head), Kind)

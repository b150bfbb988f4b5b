"""Uploads of every kind, read in a process of its own; and those that mean no good."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import DocumentError
from engine.knowledge.chunk import Document, chunk
from engine.knowledge.parse import reading
from engine.knowledge.parse.kind import OLE
from engine.knowledge.parse.limits import MIB, Limits, ParsedDocument
from engine.knowledge.parse.sandbox import read_document
from tests.unit import parse_files

LIMITS = Limits(unpacked_bytes=20 * MIB, pages=50)


def passages(parsed: ParsedDocument) -> list[str]:
    return [one.text for one in chunk(Document("acme", "doc", "file", parsed.pages))]


async def read(folder: Path, name: str, content: bytes, limits: Limits = LIMITS) -> ParsedDocument:
    path = folder / "upload"
    path.write_bytes(content)
    return await read_document(path, name, limits)


async def test_a_pdf_keeps_its_pages(tmp_path: Path) -> None:
    content = parse_files.pdf(["We open at nine in the morning."], [], ["A cleaning costs 85 dollars."])
    parsed = await read(tmp_path, "prices.pdf", content)
    assert parsed.media_type == "application/pdf"
    assert parsed.pages == ((1, "We open at nine in the morning."), (3, "A cleaning costs 85 dollars."))


async def test_a_word_document_keeps_headings_and_rows(tmp_path: Path) -> None:
    parsed = await read(tmp_path, "info.docx", parse_files.word_of_parking())
    assert passages(parsed) == [
        "Parking is free for patients, behind the building.",
        "Treatment: Whitening, Price: 250 dollars.",
    ]


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        ('Name,Price\nCleaning,85 dollars\nCrown,"1,200 dollars"\n', "utf-8"),
        ("Name;Price\r\nCleaning;85 dollars\r\nCrown;1,200 dollars\r\n", "utf-8-sig"),
        ("Name\tPrice\nCleaning\t85 dollars\nCrown\t1,200 dollars", "utf-16"),
    ],
)
async def test_a_row_of_a_csv_is_a_passage_by_itself(tmp_path: Path, content: str, encoding: str) -> None:
    parsed = await read(tmp_path, "prices.csv", content.encode(encoding))
    assert passages(parsed) == ["Name: Cleaning. Price: 85 dollars.", "Name: Crown. Price: 1,200 dollars."]


async def test_text_in_its_encoding(tmp_path: Path) -> None:
    for encoding in ("utf-8", "cp1252", "utf-16"):
        parsed = await read(tmp_path, "café.md", "# Menü\n\nCrêpes cost 5 euros.".encode(encoding))
        assert passages(parsed) == ["Crêpes cost 5 euros."]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.docx", parse_files.bomb(), "unpacks to more than 20 MiB"),
        ("a.pdf", parse_files.pdf(*[["page"]] * 51), "has 51 pages, and 50 can be read"),
        (
            "a.pdf",
            parse_files.protected_pdf(parse_files.pdf(["secret"]), user="word", owner="word"),
            "protected with a password",
        ),
        ("a.docx", OLE + bytes(600), "protected with a password"),
        ("a.pdf", b"\x89PNG\r\n\x1a\n" + bytes(50), "no PDF but a PNG picture"),
        ("a.docx", parse_files.zipped(**{"readme.txt": b"hello"}), "no Word document"),
        ("a.txt", b"MZ\x90\x00" + bytes(50), "no text but a program"),
        ("a.txt", bytes(range(256)), "binary data"),
        ("a.pdf", b"%PDF-1.7 nothing else", "damaged PDF"),
        ("a.pdf", parse_files.pdf([]), "contains only pictures"),
        ("a.txt", b"", "is empty"),
        ("a.csv", b"\n\n ,\n", "holds no text"),
        ("a.xlsx", b"PK\x03\x04", "save the sheet as CSV"),
        ("a.exe", b"MZ", "not of a type that can be read"),
    ],
)
async def test_what_cannot_be_read_says_what_to_do(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    with pytest.raises(DocumentError, match=reason) as refused:
        await read(tmp_path, name, content)
    assert "\n" not in str(refused.value)
    assert f"'{name}'" in str(refused.value)


async def test_too_slow_too_big_and_too_hungry(tmp_path: Path) -> None:
    text = b"word " * 1000
    for limits, reason in (
        (replace(LIMITS, seconds=0.01), "longer than 0.01 s"),
        (replace(LIMITS, file_bytes=100), "is larger than"),
        (replace(LIMITS, text_bytes=100), "of text"),
    ):
        with pytest.raises(DocumentError, match=reason):
            await read(tmp_path, "a.txt", text, limits)
    hungry = replace(LIMITS, memory_bytes=40 * MIB)
    with pytest.raises(DocumentError, match=r"too much memory|within the limits"):
        await read(tmp_path, "a.txt", text * 4000, hungry)


async def test_nobody_waits_for_it_any_more(tmp_path: Path) -> None:
    me = psutil.Process()
    before = set(me.children())
    task = asyncio.create_task(read(tmp_path, "a.txt", b"hello"))
    while set(me.children()) == before:  # noqa: ASYNC110 - the kernel tells nobody
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert set(me.children()) == before


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["a.pdf", "a.docx", "a.txt", "a.md", "a.csv"]),
    st.sampled_from([b"", b"%PDF-1.4\n", b"PK\x03\x04", b"\xff\xfe", b"a,b\n"]),
    st.binary(max_size=300),
)
def test_any_bytes_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, name: str, start: bytes, rest: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(start + rest)
    try:
        parsed = reading.read(path, name, LIMITS)
    except DocumentError:
        return
    assert any(text.strip() for _, text in parsed.pages)

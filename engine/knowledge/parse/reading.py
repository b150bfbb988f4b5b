"""One file -> its text, in this process. Uploads go through `sandbox.read_document`, which bounds it."""

from __future__ import annotations

from pathlib import Path

from engine.errors import DocumentError
from engine.knowledge.parse.kind import HEAD_BYTES, Kind, detect
from engine.knowledge.parse.limits import MIB, Limits, Pages, ParsedDocument
from engine.knowledge.parse.pdf import read_pdf, too_much_text
from engine.knowledge.parse.table import read_csv
from engine.knowledge.parse.text import clean, decode
from engine.knowledge.parse.word import read_docx


def check_file(path: Path, name: str, limits: Limits) -> None:
    """Raises DocumentError when the file is gone, empty or larger than the limit."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise _gone(name) from error
    if not size:
        raise DocumentError(f"'{name}' is empty: upload a document with something to read")
    if size > limits.file_bytes:
        raise DocumentError(
            f"'{name}' is larger than {limits.file_bytes / MIB:g} MiB: split it, or remove its pictures"
        )


def read(path: Path, name: str, limits: Limits) -> ParsedDocument:
    """The document's text; at least one page has some. Raises DocumentError, and MemoryError."""
    check_file(path, name, limits)
    try:
        with path.open("rb") as file:
            kind = detect(name, file.read(HEAD_BYTES))
        pages = _pages(path, name, kind, limits)
    except OSError as error:
        raise _gone(name) from error
    pages = tuple((number, text) for number, text in pages if text.strip())
    if not pages:
        raise DocumentError(f"'{name}' holds no text: upload a document with something to read")
    if sum(len(text.encode()) for _, text in pages) > limits.text_bytes:
        raise too_much_text(name, limits)
    return ParsedDocument(pages, kind.value)


def _pages(path: Path, name: str, kind: Kind, limits: Limits) -> Pages:
    if kind is Kind.PDF:
        return tuple((number, clean(text)) for number, text in read_pdf(path, name, limits))
    if kind is Kind.DOCX:
        return read_docx(path, name, limits)
    text = clean(decode(name, path.read_bytes()))
    return ((None, read_csv(name, text) if kind is Kind.CSV else text),)


def _gone(name: str) -> DocumentError:
    return DocumentError(f"'{name}' cannot be opened any more: upload it again")

"""What a file is: by what is in it, checked against what its name says.

Pure: a name and the first bytes in, a kind or a DocumentError out.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import PurePath

from engine.errors import DocumentError

HEAD_BYTES = 4096
"""How much of a file `detect` wants to see."""


class Kind(StrEnum):
    """The kinds of document that can be read, by media type."""

    PDF = "application/pdf"
    DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    TEXT = "text/plain"
    MARKDOWN = "text/markdown"
    CSV = "text/csv"


SUFFIXES = {
    ".pdf": Kind.PDF,
    ".docx": Kind.DOCX,
    ".txt": Kind.TEXT,
    ".text": Kind.TEXT,
    ".md": Kind.MARKDOWN,
    ".markdown": Kind.MARKDOWN,
    ".csv": Kind.CSV,
    ".tsv": Kind.CSV,
}
READABLE = "a PDF, DOCX, TXT, Markdown or CSV file"
_INSTEAD = {
    ".doc": "open it in Word and save it as .docx",
    ".odt": "save it as .docx",
    ".rtf": "save it as .docx",
    ".pages": "export it as .docx or PDF",
    ".xls": "save the sheet as CSV",
    ".xlsx": "save the sheet as CSV",
    ".ods": "save the sheet as CSV",
    ".ppt": "export it as PDF",
    ".pptx": "export it as PDF",
    ".html": "print the page to a PDF, or save its text as .txt",
    ".htm": "print the page to a PDF, or save its text as .txt",
}

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""Begins an old Office file, and a new one that is protected with a password."""
_SIGNATURES = (
    (b"%PDF-", "a PDF file"),
    (b"PK\x03\x04", "a zip file"),
    (b"PK\x05\x06", "an empty zip file"),
    (OLE, "an old Office file or a protected one"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"GIF8", "a GIF picture"),
    (b"II*\x00", "a TIFF picture"),
    (b"MM\x00*", "a TIFF picture"),
    (b"{\\rtf", "an RTF file"),
    (b"\x1f\x8b", "a gzip file"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z file"),
    (b"Rar!", "a RAR file"),
    (b"\x7fELF", "a program"),
    (b"MZ\x90\x00", "a program"),
    (b"<!doctype html", "a web page"),
    (b"<html", "a web page"),
)
_BYTE_ORDER_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CONTROLS = frozenset(range(0x20)) - frozenset(b"\t\n\v\f\r\x1a\x1b") | {0x7F}
_TOLERATED = 0.005
"""Share of control characters that a text may have: a stray one is no reason to refuse it."""


def detect(name: str, head: bytes) -> Kind:
    """The kind that the name says, once the first bytes agree. Raises DocumentError when they do not."""
    suffix = PurePath(name).suffix.lower()
    kind = SUFFIXES.get(suffix)
    if kind is None:
        what_to_do = _INSTEAD.get(suffix, f"upload {READABLE}")
        raise DocumentError(f"'{name}' is not of a type that can be read: {what_to_do}")
    if not head:
        raise DocumentError(f"'{name}' is empty: upload a document with something to read")
    if kind is Kind.PDF:
        _check_pdf(name, head)
    elif kind is Kind.DOCX:
        _check_docx(name, head)
    else:
        _check_text(name, head)
    return kind


def looks_binary(content: bytes) -> bool:
    """Whether bytes (of any encoding but UTF-16) are no text."""
    if b"\0" in content:
        return True
    controls = len(content) - len(content.translate(None, bytes(_CONTROLS)))
    return controls > len(content) * _TOLERATED


def _check_pdf(name: str, head: bytes) -> None:
    # Readers accept a few bytes before the mark, and some programs write them.
    if b"%PDF-" not in head[:1024]:
        raise DocumentError(f"'{name}' is no PDF but {_looks_like(head)}: upload {READABLE}")


def _check_docx(name: str, head: bytes) -> None:
    if head.startswith(OLE):
        raise DocumentError(
            f"'{name}' is protected with a password or of an old Word format: "
            "open it in Word and save it as .docx without a password"
        )
    if not head.startswith(b"PK\x03\x04"):
        raise DocumentError(f"'{name}' is no Word document but {_looks_like(head)}: upload {READABLE}")


def _check_text(name: str, head: bytes) -> None:
    if head.startswith(_BYTE_ORDER_MARKS):
        return
    if _signature(head):
        raise DocumentError(f"'{name}' is no text but {_looks_like(head)}: upload {READABLE}")
    if looks_binary(head):
        raise binary(name)


def binary(name: str) -> DocumentError:
    return DocumentError(f"'{name}' holds no readable text but binary data: upload {READABLE}")


def protected(name: str) -> DocumentError:
    return DocumentError(f"'{name}' is protected with a password: save it without one and upload it again")


def _looks_like(head: bytes) -> str:
    if found := _signature(head):
        return found
    if not head.startswith(_BYTE_ORDER_MARKS) and looks_binary(head):
        return "binary data of an unknown kind"
    return "plain text"


def _signature(head: bytes) -> str | None:
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    for mark, what in _SIGNATURES:
        if start.lower().startswith(mark) if mark.startswith(b"<") else start.startswith(mark):
            return what
    return None

"""Word documents (DOCX): a zip of XML, unpacked within limits before python-docx sees it."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.knowledge.parse.limits import MIB, Limits, Pages
from engine.knowledge.parse.table import records
from engine.knowledge.parse.text import clean

MAIN_PART = "word/document.xml"
MAX_MEMBERS = 10_000
_ENCRYPTED = 0x1
_BLOCK = 1 << 20


def read_docx(path: Path, name: str, limits: Limits) -> Pages:
    """The document as one page of Markdown. Raises DocumentError."""
    package = _unpacked(path, name, limits)
    from docx import Document

    try:
        body = list(Document(package).iter_inner_content())
        below = _below_title(body)
        return ((None, "\n".join(line for block in body for line in _lines(block, below))),)
    except MemoryError:
        raise
    except Exception as error:  # a damaged part surfaces as whatever its reader stumbled over
        raise _damaged(name) from error


def _unpacked(path: Path, name: str, limits: Limits) -> io.BytesIO:
    """The package again, stored plainly. What is no XML is left empty: no picture is ever looked at."""
    target = io.BytesIO()
    try:
        with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as plain:
            members = source.infolist()
            _check(members, name, limits)
            left = limits.unpacked_bytes
            for member in members:
                content = b""
                if member.filename.endswith((".xml", ".rels")):
                    content = _inflate(source, member, left, name, limits)
                left -= len(content)
                plain.writestr(zipfile.ZipInfo(member.filename), content)
    except (zipfile.BadZipFile, zlib.error, OSError, ValueError, NotImplementedError, EOFError) as error:
        raise _damaged(name) from error
    return target


def _check(members: list[zipfile.ZipInfo], name: str, limits: Limits) -> None:
    if MAIN_PART not in {member.filename for member in members}:
        raise DocumentError(
            f"'{name}' is a zip file but no Word document: upload the documents in it one by one"
        )
    if any(member.flag_bits & _ENCRYPTED for member in members):
        raise DocumentError(f"'{name}' is protected with a password: save it without one and upload it again")
    if len(members) > MAX_MEMBERS or sum(member.file_size for member in members) > limits.unpacked_bytes:
        raise _too_large(name, limits)


def _inflate(source: zipfile.ZipFile, member: zipfile.ZipInfo, left: int, name: str, limits: Limits) -> bytes:
    # What the directory says of a member's size is only a claim.
    content = bytearray()
    with source.open(member) as stream:
        while block := stream.read(_BLOCK):
            content += block
            if len(content) > left:
                raise _too_large(name, limits)
    return bytes(content)


def _below_title(body: Sequence[Any]) -> int:
    """How many levels "Heading 1" stands below the title: none where a single one is the title itself."""
    styles = [_style(block).lower() for block in body if not hasattr(block, "rows")]
    return 1 if "title" in styles or styles.count("heading 1") > 1 else 0


def _lines(block: Any, below: int) -> Iterator[str]:
    """A paragraph or a table of python-docx, which has no types."""
    if hasattr(block, "rows"):
        yield ""
        yield from records([_row(row) for row in block.rows], ", ")
        yield ""
        return
    text = clean(block.text).strip()
    if not text:
        yield ""
    elif level := _heading_level(block, below):
        yield from ("", f"{'#' * level} {' '.join(text.split())}", "")
    elif _is_listed(block):
        yield f"- {' '.join(text.split())}"
    else:
        yield from (text, "")


def _row(row: Any) -> list[str]:
    # A cell that spans columns is met once for each of them.
    cells: list[str] = []
    last: Any = None
    for cell in row.cells:
        cells.append("" if cell._tc is last else " ".join(clean(cell.text).split()))
        last = cell._tc
    return cells


def _style(paragraph: Any) -> str:
    style = paragraph.style
    return str(style.name or "") if style is not None else ""


def _heading_level(paragraph: Any, below: int) -> int:
    """1 to 6, or 0 for a paragraph that is no heading. Word keeps English names for its own styles."""
    kind, _, level = _style(paragraph).lower().partition(" ")
    if kind == "title":
        return 1
    if kind != "heading" or not re.fullmatch("[1-9]", level):
        return 0
    return min(int(level) + below, 6)


def _is_listed(paragraph: Any) -> bool:
    properties = paragraph._p.pPr
    numbered = properties is not None and properties.numPr is not None
    return numbered or _style(paragraph).startswith("List")


def _damaged(name: str) -> DocumentError:
    return DocumentError(f"'{name}' is a damaged Word document: open it in Word, save it and upload it again")


def _too_large(name: str, limits: Limits) -> DocumentError:
    return DocumentError(
        f"'{name}' unpacks to more than {limits.unpacked_bytes // MIB} MiB: "
        "remove its pictures, or split it into several documents"
    )

"""Word documents (DOCX): a zip of XML, unpacked within limits before python-docx sees it."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.knowledge.parse.kind import protected
from engine.knowledge.parse.limits import MIB, Limits, Pages
from engine.knowledge.parse.table import records
from engine.knowledge.parse.text import clean

MAIN_PART = "word/document.xml"
MAX_MEMBERS = 10_000
_ENCRYPTED = 0x1
_BLOCK = 1 << 20
_XML_NO_MEMORY = 2
"""libxml2's XML_ERR_NO_MEMORY, which lxml reports as an error of syntax."""


def read_docx(path: Path, name: str, limits: Limits) -> Pages:
    """The document as one page of Markdown. Raises DocumentError."""
    package = _unpacked(path, name, limits)
    from docx import Document

    try:
        document = Document(package)
        body = list(document.iter_inner_content())
        styles = _Styles.of(document, body)
        return ((None, "\n".join(line for block in body for line in _lines(block, styles))),)
    except MemoryError:
        raise
    except Exception as error:  # a damaged part surfaces as whatever its reader stumbled over
        if getattr(error, "code", None) == _XML_NO_MEMORY:
            raise MemoryError from error
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
        raise protected(name)
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


@dataclass(frozen=True, slots=True)
class _Styles:
    """Names of the document's styles, and how many levels "Heading 1" stands below the title.

    python-docx searches all styles for each paragraph that is asked for its own: a book would take minutes.
    """

    names: Mapping[str, str]
    below: int

    @classmethod
    def of(cls, document: Any, body: Sequence[Any]) -> _Styles:
        names = {style.style_id: (style.name or "").lower() for style in document.styles}
        plain = cls(names, 0)
        used = Counter(plain.name(block) for block in body if not hasattr(block, "rows"))
        # A single "Heading 1" is the title itself.
        return cls(names, 1 if used["title"] or used["heading 1"] > 1 else 0)

    def name(self, paragraph: Any) -> str:
        """In small letters; empty for the default style. Word keeps English names for its own styles."""
        return self.names.get(paragraph._p.style, "")

    def level(self, paragraph: Any) -> int:
        """1 to 6, or 0 for a paragraph that is no heading."""
        kind, _, level = self.name(paragraph).partition(" ")
        if kind == "title":
            return 1
        if kind != "heading" or not re.fullmatch("[1-9]", level):
            return 0
        return min(int(level) + self.below, 6)

    def is_listed(self, paragraph: Any) -> bool:
        properties = paragraph._p.pPr
        numbered = properties is not None and properties.numPr is not None
        return numbered or self.name(paragraph).startswith("list")


def _lines(block: Any, styles: _Styles) -> Iterator[str]:
    """A paragraph or a table of python-docx, which has no types."""
    if hasattr(block, "rows"):
        yield ""
        yield from records([_row(row) for row in block.rows], ", ")
        yield ""
        return
    text = clean(block.text).strip()
    if not text:
        yield ""
    elif level := styles.level(block):
        yield from ("", f"{'#' * level} {' '.join(text.split())}", "")
    elif styles.is_listed(block):
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


def _damaged(name: str) -> DocumentError:
    return DocumentError(f"'{name}' is a damaged Word document: open it in Word, save it and upload it again")


def _too_large(name: str, limits: Limits) -> DocumentError:
    return DocumentError(
        f"'{name}' unpacks to more than {limits.unpacked_bytes // MIB} MiB: "
        "remove its pictures, or split it into several documents"
    )

"""Bytes -> text, and text without what no one can read. Pure."""

from __future__ import annotations

import codecs
import re
import unicodedata

from engine.errors import DocumentError
from engine.knowledge.parse.kind import binary, looks_binary

# Line ends and tabs stay; everything else that cannot be seen goes, RECORD above all: it is the chunker's.
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\u200b\u2060\ufeff\ufffe\uffff]"
)
_LINE_END = re.compile(r"\r\n|[\r\x0c\x85\u2028\u2029]")


def decode(name: str, content: bytes) -> str:
    """Text in UTF-8, UTF-16 (with its mark) or Windows-1252. Raises DocumentError for anything else."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = _strict(content, "utf-16")
        if text is None:
            raise DocumentError(f"'{name}' is damaged UTF-16 text: save it as UTF-8 and upload it again")
        return text
    if looks_binary(content):
        raise binary(name)
    for encoding in ("utf-8-sig", "cp1252"):
        if (text := _strict(content, encoding)) is not None:
            return text
    raise DocumentError(f"'{name}' is text in an unknown encoding: save it as UTF-8 and upload it again")


def _strict(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        return None


def clean(text: str) -> str:
    """The text composed (NFC), with plain line ends and without characters that cannot be shown."""
    text = unicodedata.normalize("NFC", _LINE_END.sub("\n", text))
    return _CONTROL.sub("", text).replace("\u00a0", " ")

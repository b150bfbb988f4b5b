"""Kinds of text that requests consist of, each with its bounds."""

from __future__ import annotations

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, EmailStr, StringConstraints


def _printable(text: str) -> str:
    """No control characters: nothing that could break a line of a log, a header or a file name."""
    if any(unicodedata.category(character) in ("Cc", "Cs", "Co") for character in text):
        raise ValueError("must not contain control characters")
    return text


def _paragraphs(text: str) -> str:
    _printable(text.replace("\n", "").replace("\t", ""))
    return text


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), AfterValidator(_printable)
]
Phrase = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_printable)
]
Prompt = Annotated[str, StringConstraints(min_length=1, max_length=20_000), AfterValidator(_paragraphs)]
Email = Annotated[EmailStr, AfterValidator(str.lower)]
Password = Annotated[str, StringConstraints(max_length=200), AfterValidator(_printable)]
Secret = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]
E164 = Annotated[str, StringConstraints(pattern=r"^\+[1-9][0-9]{5,14}$")]
"""A telephone number: plus, country code, number."""
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
Language = Annotated[str, StringConstraints(pattern=r"^(auto|[a-z]{2,3}(-[A-Z]{2})?)$")]

"""PDF files, through pypdf with its limits set."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DocumentError
from engine.knowledge.parse.kind import protected
from engine.knowledge.parse.limits import MIB, Limits, Pages

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

MAX_STREAM_BYTES = 75_000_000
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010]\n(?=[a-zß-ÿ])")
_NUMBERS_ONLY = re.compile(
    r"\W*(?:page|seite|página|p\.)?\s*\d+\s*(?:(?:/|of|von|de)\s*\d+)?\W*", re.IGNORECASE
)
_DIGITS = re.compile(r"\d+")


def read_pdf(path: Path, name: str, limits: Limits) -> Pages:
    """The pages that hold text, by their number. Raises DocumentError."""
    from pypdf import PdfReader, apply_configuration
    from pypdf.errors import DependencyError, FileNotDecryptedError, LimitReachedError

    stream_bytes = min(MAX_STREAM_BYTES, limits.unpacked_bytes)
    try:
        with apply_configuration(
            maximum_declared_stream_length=stream_bytes,
            array_based_stream_maximum_output_length=stream_bytes,
            zlib_maximum_output_length=stream_bytes,
            lzw_maximum_output_length=stream_bytes,
            run_length_maximum_output_length=stream_bytes,
            brotli_maximum_output_length=stream_bytes,
            stream_decoding_work_maximum_length=limits.unpacked_bytes,
            jbig2dec_binary=None,
        ):
            texts = list(_texts(PdfReader(path), name, limits))
    except (DocumentError, MemoryError):
        raise
    except (FileNotDecryptedError, DependencyError) as error:
        raise protected(name) from error
    except LimitReachedError as error:
        raise _too_large(name, limits) from error
    except Exception as error:  # pypdf promises nothing about what a broken file raises
        raise DocumentError(
            f"'{name}' is a damaged PDF: open it, print it to a new PDF and upload that one"
        ) from error
    if not any(text.strip() for text in texts):
        raise DocumentError(
            f"'{name}' contains only pictures, no text: run text recognition (OCR) on it and upload that"
        )
    return tuple((number, text) for number, text in enumerate(tidy(texts), 1) if text)


def _texts(reader: PdfReader, name: str, limits: Limits) -> Iterator[str]:
    # Many files have an owner's password only: those anyone may read.
    if reader.is_encrypted and not reader.decrypt(""):
        raise protected(name)
    if len(reader.pages) > limits.pages:
        raise DocumentError(
            f"'{name}' has {len(reader.pages)} pages, and {limits.pages} can be read: split it into several"
        )
    unpacked = written = 0
    for page in reader.pages:
        unpacked += _content_bytes(page)
        if unpacked > limits.unpacked_bytes:
            raise _too_large(name, limits)
        text = page.extract_text()
        written += len(text)
        # The exact count is taken at the end; this one keeps the memory small.
        if written > limits.text_bytes:
            raise too_much_text(name, limits)
        yield text


def _content_bytes(page: PageObject) -> int:
    contents = page.get_contents()
    return len(contents.get_data()) if contents is not None else 0


def tidy(pages: Sequence[str]) -> list[str]:
    """Pages without their numbers and repeated first and last lines, words at line ends made whole again.

    A line repeated on most pages is kept where it stands first: a letterhead is worth knowing once.
    """
    lines = [[line.strip() for line in page.splitlines() if line.strip()] for page in pages]
    for edge in (0, -1):
        _drop_numbers(lines, edge)
        _drop_repeated(lines, edge)
    return [_HYPHEN.sub("", "\n".join(page)) for page in lines]


def _drop_numbers(pages: list[list[str]], edge: int) -> None:
    for page in pages:
        if len(page) > 1 and len(page[edge]) <= 30 and _NUMBERS_ONLY.fullmatch(page[edge]):
            page.pop(edge)


def _drop_repeated(pages: list[list[str]], edge: int) -> None:
    shapes = [_shape(page[edge], number) if len(page) > 1 else "" for number, page in enumerate(pages, 1)]
    often = {shape for shape, count in Counter(shapes).items() if shape and count >= max(3, len(pages) / 2)}
    kept: set[str] = set()
    for page, shape in zip(pages, shapes, strict=True):
        if shape in kept:
            page.pop(edge)
        elif shape in often:
            kept.add(shape)


def _shape(line: str, number: int) -> str:
    """The line with its page number masked; other figures are facts and tell lines apart."""
    return _DIGITS.sub(lambda found: "#" if found[0] == str(number) else found[0], line)


def _too_large(name: str, limits: Limits) -> DocumentError:
    return DocumentError(
        f"'{name}' unpacks to more than a document may hold ({limits.unpacked_bytes // MIB} MiB): "
        "print it to a new PDF, or split it into several"
    )


def too_much_text(name: str, limits: Limits) -> DocumentError:
    return DocumentError(
        f"'{name}' holds more than {limits.text_bytes / 1e6:g} MB of text: split it into several documents"
    )

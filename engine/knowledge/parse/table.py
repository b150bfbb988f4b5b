"""Rows of a table -> passages that say by themselves what each figure is. CSV files and Word's tables.

Pure. A row becomes one line behind `chunk.RECORD`, which the chunker leaves whole.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from engine.errors import DocumentError
from engine.knowledge.chunk import RECORD

DELIMITERS = (",", ";", "\t", "|")
SAMPLE_ROWS = 50
SAMPLE_CHARS = 64 * 1024
MAX_FIELD_CHARS = 100_000
"""A longer cell is a quotation mark that was never closed."""


def read_csv(name: str, text: str) -> str:
    """The rows as records, under the names in the first row. Raises DocumentError for a broken table."""
    body, delimiter = _declared(text)
    delimiter = delimiter or _delimiter(body)
    csv.field_size_limit(MAX_FIELD_CHARS)
    rows = csv.reader(io.StringIO(body, newline=""), delimiter=delimiter)
    try:
        return "\n".join(records([_cells(row) for row in rows], ". "))
    except csv.Error as error:
        raise DocumentError(
            f"line {rows.line_num} of '{name}' cannot be read as a table row: check its quotation marks"
        ) from error


def records(rows: Sequence[Sequence[str]], separator: str) -> Iterator[str]:
    """Lines for the chunker: "Name: Cleaning. Price: 85 dollars." Rows without a cell are left out."""
    filled = [row for row in rows if any(row)]
    header: Sequence[str] = ()
    if len(filled) > 1 and _is_header(filled[0]):
        header, filled = filled[0], filled[1:]
    for row in filled:
        yield RECORD + _sentence(_named(header, row), separator)


def _named(header: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    for number, cell in enumerate(row):
        if cell:
            name = header[number].rstrip(" :") if number < len(header) else ""
            yield f"{name}: {cell}" if name else cell


def _sentence(parts: Iterable[str], separator: str) -> str:
    # A cell that ends a sentence itself gets no second full stop.
    end = separator.strip()
    line = " ".join(part if part[-1] in ".!?…" else part + end for part in parts)
    line = line.rstrip(",; ")
    return line if line.endswith((".", "!", "?", "…")) else f"{line}."


def _is_header(row: Sequence[str]) -> bool:
    """Names are words: a figure among them means that the first row is data already."""
    names = [cell for cell in row if cell]
    return len(names) > 1 and not any(any(c.isdigit() for c in name[:4]) for name in names)


def _cells(row: Iterable[str]) -> list[str]:
    return [" ".join(cell.split()) for cell in row]


def _declared(text: str) -> tuple[str, str | None]:
    """Excel may write `sep=;` first."""
    first, _, rest = text.partition("\n")
    first = first.strip().strip('"')
    if first.lower().startswith("sep=") and len(first) == 5:
        return rest, first[-1]
    return text, None


def _delimiter(text: str) -> str:
    """The one that gives the most rows the same number of columns."""
    return max(DELIMITERS, key=lambda delimiter: _evenness(text[:SAMPLE_CHARS], delimiter))


def _evenness(sample: str, delimiter: str) -> tuple[float, int]:
    widths = []
    try:
        for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
            if row:
                widths.append(len(row))
            if len(widths) == SAMPLE_ROWS:
                break
    except csv.Error:
        return (0.0, 0)
    counts = Counter(width for width in widths if width > 1)
    if not counts:
        return (0.0, 0)
    [(width, rows)] = counts.most_common(1)
    return (rows / len(widths), width)

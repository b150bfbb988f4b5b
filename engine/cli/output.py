"""What the commands share when they print: a console, JSON, error lines and progress bars.

Results go to stdout; errors and progress go to stderr, so that `parley ... --json | jq` works. Rich is
imported only where something is drawn.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import traceback
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

_PIPE_COLUMNS = 200
_CONTROLS = frozenset({"Cc", "Cs", "Co"})
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction of the text behind them: a name could show as another."""


def console(*, stderr: bool = False) -> Console:
    """A Rich console; wide when it is not a terminal, so that piped tables are not cut. Honours NO_COLOR."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, width=None if terminal else _PIPE_COLUMNS)


def emit_json(value: object) -> None:
    """Print one JSON document; dataclasses become objects and paths strings."""
    click.echo(json.dumps(value, indent=2, default=_plain))


def _plain(value: object) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")


def styled(text: str, *, stderr: bool = False, **style: Any) -> str:
    """`text` in a `click.style`, or plain where NO_COLOR is set or nobody looks."""
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return click.style(text, **style) if terminal and not os.environ.get("NO_COLOR") else text


def printable(text: str) -> str:
    """`text` for a terminal: characters that could write over other lines become `?`; newlines stay."""
    return "".join("?" if _is_unsafe(one) else one for one in text)


def _is_unsafe(character: str) -> bool:
    if character in "\n\t":
        return False
    return character in _TURNING or unicodedata.category(character) in _CONTROLS


def print_error(message: str) -> None:
    """One line on stderr."""
    line = printable(" ".join(message.split()))
    click.echo(f"{styled('parley: error:', stderr=True, fg='red', bold=True)} {line}", err=True)


def print_traceback() -> None:
    """The traceback of the exception being handled, on stderr."""
    traceback.print_exc()


def print_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns on stdout; the first, by which a row is named, is never cut."""
    from rich.table import Table
    from rich.text import Text

    table = Table(*headers, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        # As Text, so that `[name]` in what somebody typed is no markup.
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    for column in table.columns:
        column.overflow = "fold"
    first = table.columns[0]
    first.no_wrap, first.min_width = True, max((len(row[0]) for row in rows), default=0)
    console().print(table, soft_wrap=False)


def human_bytes(size: int) -> str:
    """`1.5 GiB`, `80 MiB`, `12 KiB`."""
    value, unit = float(size), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024 or unit == "GiB":
            break
        value /= 1024
    return f"{value:.1f} {unit}" if unit == "GiB" else f"{value:.0f} {unit}"


class Bars(Protocol):
    """One bar an item."""

    def update(self, item: str, done: int, total: int) -> None:
        """Draw; an item not seen before gets a new bar."""

    def note(self, item: str, text: str) -> None:
        """Say what the item waits for; only where somebody watches."""

    def finish(self, item: str, note: str) -> None:
        """Say how the item ended."""


@contextmanager
def progress(unit: Literal["bytes", "steps"]) -> Iterator[Bars]:
    """Bars at a terminal; elsewhere one line an item, when it ends."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn

    count = DownloadColumn(binary_units=True) if unit == "bytes" else MofNCompleteColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), count)
    with Progress(*columns, console=console(stderr=True)) as drawn:
        yield _Drawn(drawn)


class _Lines:
    def update(self, item: str, done: int, total: int) -> None:
        pass

    def note(self, item: str, text: str) -> None:
        pass

    def finish(self, item: str, note: str) -> None:
        click.echo(printable(f"{item}: {note}"), err=True)


class _Drawn:
    def __init__(self, drawn: Progress) -> None:
        self._drawn = drawn
        self._tasks: dict[str, TaskID] = {}

    def update(self, item: str, done: int, total: int) -> None:
        if item not in self._tasks:
            self._tasks[item] = self._drawn.add_task(item, total=total)
        self._drawn.update(self._tasks[item], completed=done, total=total)

    def note(self, item: str, text: str) -> None:
        if item not in self._tasks:
            self._tasks[item] = self._drawn.add_task(item, total=1)
        self._drawn.update(self._tasks[item], description=printable(f"{item} ({text})"))

    def finish(self, item: str, note: str) -> None:
        self.note(item, note)

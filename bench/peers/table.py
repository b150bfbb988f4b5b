"""From the answers of all visits to one row a system and number of calls, as text and Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from bench.peers.plan import ARMS
from engine.simulator.figures import percentile

HEADERS = (
    "calls", "system", "asked", "answered", "rightly", "refused",
    "p50 ms", "p95 ms", "words", "audio s", "cores", "p50 ratio",
)  # fmt: skip
LEGEND = (
    "p50, p95: voice to voice, last loud frame of the question sent to first loud frame of the answer, "
    "without refusals (the phrase for what is not known); words, audio: of a reply, as the judge heard it, "
    "without refusals; cores: CPU of the system and its model servers; ratio: to the first system's p50."
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one question. `ms`: voice to voice, None without an answer; `audio_s`: of the answer.

    `text` is what the judge heard, `refused` whether that is the phrase for what is not known.
    """

    arm: str
    calls: int
    repeat: int
    question: str
    ms: float | None
    text: str
    right: bool
    refused: bool
    audio_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """One measurement: how much was asked (also by calls that failed), and what it took. `late_ms`: p99."""

    arm: str
    calls: int
    repeat: int
    asked: int
    cores: float
    late_ms: float
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One system with so many calls at once, over all its visits. Times in ms; None without answers."""

    arm: str
    calls: int
    asked: int
    answered: int
    right: int
    refused: int
    p50: float | None
    p95: float | None
    words: float | None
    audio_s: float | None
    cores: float
    ratio: float | None = None


def rows(loads: Sequence[Load], answers: Sequence[Answer]) -> list[Row]:
    """One row a number of calls and system, both in the order of measurement."""
    arms = list(dict.fromkeys(load.arm for load in loads))
    table = []
    for calls in dict.fromkeys(load.calls for load in loads):
        first: float | None = None
        for arm in arms:
            measured = [load for load in loads if (load.arm, load.calls) == (arm, calls)]
            if not measured:
                continue
            row = _row(measured, [one for one in answers if (one.arm, one.calls) == (arm, calls)])
            first = first if arm != arms[0] else row.p50
            ratio = round(row.p50 / first, 2) if row.p50 and first else None
            table.append(Row(**asdict(row) | {"ratio": ratio}))
    return table


def _row(measured: Sequence[Load], answers: Sequence[Answer]) -> Row:
    answered = [one for one in answers if one.ms is not None]
    generated = [one for one in answered if not one.refused]
    times = [one.ms for one in generated if one.ms is not None]
    return Row(
        arm=measured[0].arm,
        calls=measured[0].calls,
        asked=sum(load.asked for load in measured),
        answered=len(answered),
        right=sum(one.right for one in answered),
        refused=len(answered) - len(generated),
        p50=percentile(times, 50) if times else None,
        p95=percentile(times, 95) if times else None,
        words=_mean(len(one.text.split()) for one in generated),
        audio_s=_mean(one.audio_s for one in generated),
        cores=fmean(load.cores for load in measured),
    )


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return fmean(known) if known else None


def cells(row: Row) -> list[str]:
    """A row as text, in the order of HEADERS."""
    return [
        str(row.calls),
        ARMS[row.arm].title,
        str(row.asked),
        str(row.answered),
        str(row.right),
        str(row.refused),
        _number(row.p50, ",.0f"),
        _number(row.p95, ",.0f"),
        _number(row.words, ".1f"),
        _number(row.audio_s, ".1f"),
        f"{row.cores:.2f}",
        _number(row.ratio, ".2f"),
    ]


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def markdown(table: Sequence[Row], about: str) -> str:
    """The table for a README, with a line on where and when below it."""
    lines = [HEADERS, ["---"] * 2 + ["---:"] * (len(HEADERS) - 2), *map(cells, table)]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{drawn}\n\n{LEGEND}\n\n{about}\n"


def document(table: Sequence[Row], loads: Sequence[Load], answers: Sequence[Answer]) -> dict[str, Any]:
    """The figures for JSON, and all that they were made from."""
    return {
        "table": [asdict(row) for row in table],
        "loads": [asdict(load) for load in loads],
        "answers": [asdict(answer) for answer in answers],
    }

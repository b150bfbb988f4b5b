"""What is counted about a company's calls."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel


class Figures(BaseModel):
    """Calls that ended. `answered_share`: of all turns, those that the knowledge had an answer to.

    Shares and latencies are None where there is nothing to count.
    """

    calls: int = 0
    minutes: float = 0.0
    turns: int = 0
    answered_turns: int = 0
    answered_share: float | None = None
    voice_to_voice_p50_ms: float | None = None
    voice_to_voice_p95_ms: float | None = None
    outcomes: dict[str, int]
    """Why calls ended -> how many."""


class Day(BaseModel):
    """Figures of one agent on one day (UTC)."""

    day: date
    agent_id: str
    figures: Figures


class Analytics(BaseModel):
    """`first` and `last` day are included; days without calls are left out."""

    first: date
    last: date
    total: Figures
    days: list[Day]

"""Figures of a company's calls."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Query

from engine.api.v1.common import Reader, Using
from engine.services.analytics import Period, analyse
from models.analytics import Analytics

router = APIRouter(prefix="/companies/{company_id}", tags=["analytics"])
DEFAULT_DAYS = 7


@router.get("/analytics")
async def analytics(
    using: Using,
    access: Reader,
    first: date | None = None,
    last: date | None = None,
    agent_id: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None,
) -> Analytics:
    """Calls that ended, for each day (UTC) and agent, in at most 92 days; the last seven unless asked."""
    last = last or datetime.now(UTC).date()
    # Days are counted, not subtracted: a date near the calendar's beginning has no day a week before.
    first = first or date.fromordinal(max(1, last.toordinal() - DEFAULT_DAYS + 1))
    return await analyse(using.store, access, Period(first, last), agent_id)

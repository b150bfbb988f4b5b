"""What goes by itself: calls past their company's retention, and tokens that expired."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from engine.errors import ParleyError
from engine.services.calls import first_id, forget_call
from engine.store import Page, Store
from engine.store.documents import (
    CALLS,
    COMPANIES,
    MAX_PAGE,
    REFRESH_TOKENS,
    RESET_TOKENS,
    TenantCollection,
)
from engine.store.recordings import Recordings
from models import Company
from models.document import now

log = logging.getLogger("parley.housekeeping")

PAUSE_S = 0.005
"""Between two removals: nobody waits for them, and the store has callers to serve."""
TOKENS: tuple[TenantCollection[Any], ...] = (REFRESH_TOKENS, RESET_TOKENS)


@dataclass(frozen=True, slots=True)
class Swept:
    """How many of each are gone."""

    calls: int
    tokens: int


class Housekeeping:
    """One an installation is enough; two do no harm."""

    def __init__(self, store: Store, recordings: Recordings) -> None:
        self._store = store
        self._recordings = recordings

    async def sweep(self, at: datetime | None = None) -> Swept:
        """Remove everything whose time had come at `at` (UTC, now). Raises what the store raises."""
        at = at or now()
        calls = tokens = 0
        async for company in self._companies():
            try:
                calls += await self._calls(company, at)
                tokens += await self._tokens(company, at)
            except (ParleyError, OSError, ValueError) as error:
                # One company's damaged call or file must not keep everybody else's data for good.
                log.error("housekeeping of company %s is incomplete: %s", company.id, error)
        return Swept(calls, tokens)

    async def _companies(self) -> AsyncIterator[Company]:
        page = Page(limit=MAX_PAGE)
        while found := await self._store.documents.find(COMPANIES, None, {}, page):
            for company in found:
                yield company
            page = Page(before=found[-1].id, limit=MAX_PAGE)

    async def _calls(self, company: Company, at: datetime) -> int:
        """Of calls that go on nothing is removed, however long ago they began."""
        if company.retention_days is None:
            return 0
        page = Page(before=first_id(at - timedelta(days=company.retention_days)), limit=MAX_PAGE)
        gone = 0
        while found := await self._store.documents.find(CALLS, company.id, {"status": "ended"}, page):
            for record in found:
                await forget_call(self._store, self._recordings, record)
                await asyncio.sleep(PAUSE_S)
            gone += len(found)
        return gone

    async def _tokens(self, company: Company, at: datetime) -> int:
        gone = 0
        for collection in TOKENS:
            page = Page(limit=MAX_PAGE)
            while found := await self._store.documents.find(collection, company.id, {}, page):
                for token in found:
                    if token.expires_at < at:
                        gone += await self._store.documents.delete(collection, company.id, token.id)
                        await asyncio.sleep(PAUSE_S)
                page = Page(before=found[-1].id, limit=MAX_PAGE)
        return gone

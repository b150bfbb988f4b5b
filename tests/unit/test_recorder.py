"""The recorder, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from actors import recorder
from engine.call.record import put_record, record_of
from engine.config import settings
from engine.store import Page, Store, put_company
from engine.store.documents import CALLS
from models import CallEvent, CallRecord, Company
from tests.unit.test_call_record import WHOLE, journal


class Opened:
    """As `StoreOpener`, of a store that is open."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self) -> Store:
        return self._store


class Watched(recorder.Recorder):
    """`tidy`: it has done what its predecessor left undone."""

    def __init__(self) -> None:
        super().__init__()
        self.tidy = asyncio.Event()

    async def _end_lines(self) -> None:
        await super()._end_lines()
        self.tidy.set()


@asynccontextmanager
async def started(store: Store, folder: Path) -> AsyncIterator[Watched]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PARLEY_DATA_DIR", str(folder))
        patch.setattr(recorder, "refuse_several_nodes", lambda store: None)
        patch.setattr(recorder, "StoreOpener", lambda settings: Opened(store))
        settings.cache_clear()
        actor = Watched()
        settings.cache_clear()
    yield actor
    actor._house.cancel()


def call(company: str, call_id: str) -> list[CallEvent]:
    whose = {"company_id": company, "call_id": call_id}
    return [event.model_copy(update=whose) for event in journal(*WHOLE)]


async def keep(store: Store, events: Sequence[CallEvent], *, listed: int) -> None:
    """A journal, and the line that was written when it had so many events."""
    await store.append_events(events)
    await put_record(store, record_of(events[:listed]))


async def lines(store: Store, company: str, status: str) -> Sequence[CallRecord]:
    return await store.documents.find(CALLS, company, {"status": status}, Page())


KEPT_BY_THE_STORE = {"version", "created_at", "updated_at"}


async def test_the_line_of_a_call_that_ended_as_the_recorder_died_is_ended_when_it_starts_again(
    store: Store, tmp_path: Path
) -> None:
    for company in ("acme", "other"):
        await put_company(store, Company(id=company, name=company))
        await keep(store, call(company, f"{company}1"), listed=3)
    await keep(store, call("acme", "goes on")[:3], listed=1)
    damaged = call("acme", "damaged")
    damaged[-2] = damaged[-2].model_copy(update={"kind": "of a version to come"})
    await keep(store, damaged, listed=1)
    await put_record(store, record_of(call("acme", "without a journal")[:1]))
    async with started(store, tmp_path) as actor:
        await asyncio.wait_for(actor.tidy.wait(), 10)
    for company in ("acme", "other"):
        (line,) = await lines(store, company, "ended")
        whole = record_of(call(company, f"{company}1"))
        assert line == whole.model_copy(update=line.model_dump(include=KEPT_BY_THE_STORE))
    left = await lines(store, "acme", "live")
    assert {line.call_id for line in left} == {"goes on", "damaged", "without a journal"}
    assert {line.version for line in left} == {1}

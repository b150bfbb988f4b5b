"""The store's contract, on every implementation that is here."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest
from pydantic_core import PydanticSerializationError

from engine.config import Settings
from engine.errors import ConfigurationError
from engine.store import Conflict, Store, put_company, sqlite
from engine.store.documents import CALLS
from engine.store.open import StoreOpener
from engine.store.sqlite import SqliteStore
from models import AgentConfig, CallEvent, CallRecord, Company


def event(seq: int, *, call: str = "c1", company: str = "acme", text: str = "") -> CallEvent:
    return CallEvent(
        call_id=call, company_id=company, seq=seq, kind="turn_ended", at_ms=1.0, data={"text": text}
    )


async def test_a_company_and_its_agent(store: Store) -> None:
    await put_company(store, Company(id="acme", name="Acme"))
    await store.publish_agent(AgentConfig(id="front", company_id="acme"))
    company = await store.company("acme")
    assert company is not None
    assert company.name == "Acme"
    assert await store.agent("acme", "front") == AgentConfig(id="front", company_id="acme")
    assert await store.agent("other", "front") is None, "an agent of another company does not exist"


async def test_a_journal_is_read_in_order_and_only_by_its_company(store: Store) -> None:
    await store.append_events([event(1), event(0)])
    assert [e.seq for e in await store.events("acme", "c1")] == [0, 1]
    assert await store.events("other", "c1") == []


async def test_companies_whose_carriers_gave_the_same_id_keep_journals_of_their_own(store: Store) -> None:
    ours, theirs = (
        [event(seq, company=company, text=company) for seq in range(2)] for company in ("acme", "other")
    )
    await store.append_events(ours)
    await store.append_events(theirs)
    await store.append_events(theirs)
    with pytest.raises(Conflict):
        await store.append_events([event(1, company="other", text="acme")])
    ended = CallEvent(call_id="c1", company_id="other", seq=2, kind="call_ended", at_ms=2.0)
    await store.append_events([ended])
    assert await store.events("acme", "c1") == ours
    assert await store.events("other", "c1") == [*theirs, ended]
    assert await store.open_calls() == [("acme", "c1")], "the end of another's is not the end of ours"
    await store.delete_events("other", "c1")
    assert await store.events("other", "c1") == []
    assert await store.events("acme", "c1") == ours


async def test_the_same_event_twice_is_stored_once(store: Store) -> None:
    await store.append_events([event(0)])
    await store.append_events([event(0), event(1)])
    assert [e.seq for e in await store.events("acme", "c1")] == [0, 1]


async def test_another_writer_is_fenced_and_nothing_of_it_is_stored(store: Store) -> None:
    await store.append_events([event(0, text="first")])
    with pytest.raises(Conflict):
        await store.append_events([event(1, text="late"), event(0, text="second")])
    assert [e.data["text"] for e in await store.events("acme", "c1")] == ["first"]


async def test_many_appends_at_once_all_survive_and_one_conflict_hurts_nobody(store: Store) -> None:
    await store.append_events([event(0, call="c7", text="mine")])
    writes = [store.append_events([event(0, call=f"c{n}", text="x")]) for n in range(50)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert [n for n, result in enumerate(results) if isinstance(result, Conflict)] == [7]
    assert sum([len(await store.events("acme", f"c{n}")) for n in range(50)]) == 50


async def test_a_token_is_spent_once_also_after_a_restart(tmp_path: Path) -> None:
    later = time.time() + 60
    for first in (True, False):
        store = SqliteStore(tmp_path / "p.db")
        assert await store.spend_token("t1", later) is first
        await store.close()


async def test_an_expired_token_is_forgotten(store: Store) -> None:
    assert await store.spend_token("t1", time.time() - 1)
    await store.spend_token("t2", time.time() + 60)
    assert await store.spend_token("t1", time.time() + 60)


async def test_open_calls(store: Store) -> None:
    await store.append_events([event(0, call="c1"), event(0, call="c2")])
    ended = CallEvent(call_id="c2", company_id="acme", seq=1, kind="call_ended", at_ms=2.0)
    await store.append_events([ended])
    assert await store.open_calls() == [("acme", "c1")]


async def test_two_stores_on_one_file_see_each_other(tmp_path: Path) -> None:
    first, second = SqliteStore(tmp_path / "p.db"), SqliteStore(tmp_path / "p.db")
    try:
        writes = [
            s.append_events([event(n, call=c)]) for s, c in ((first, "a"), (second, "b")) for n in range(20)
        ]
        await asyncio.gather(*writes)
        assert len(await second.events("acme", "a")) == len(await first.events("acme", "b")) == 20
    finally:
        await first.close()
        await second.close()


def test_a_file_that_is_no_database_gives_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "parley.db"
    path.write_bytes(b"this is not a database, not at all" * 100)
    with pytest.raises(ConfigurationError, match="cannot open the database"):
        SqliteStore(path)


async def test_a_write_that_returned_is_on_disk(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "p.db")
    await store.append_events([event(0)])
    with sqlite3.connect(tmp_path / "p.db") as reader:
        assert reader.execute("SELECT count(*) FROM call_events").fetchone() == (1,)
    await store.close()


def test_a_file_of_a_newer_parley_is_refused(tmp_path: Path) -> None:
    SqliteStore(tmp_path / "p.db")
    with sqlite3.connect(tmp_path / "p.db") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="newer Parley"):
        SqliteStore(tmp_path / "p.db")


async def test_an_opener_opens_one_store_and_tries_anew_after_a_failure(tmp_path: Path) -> None:
    opener = StoreOpener(Settings(_env_file=None, data_dir=tmp_path))
    path = tmp_path / "parley.db"
    path.write_bytes(b"this is not a database, not at all" * 100)
    with pytest.raises(ConfigurationError):
        await opener.get()
    path.unlink()
    first, second = await asyncio.gather(opener.get(), opener.get())
    assert first is second is await opener.get()
    await first.close()


def watched(store: SqliteStore) -> list[str]:
    """What it tells its database from now on, of what decides about the disk."""
    said: list[str] = []

    def hear(sql: str) -> None:
        if sql.startswith(("PRAGMA", "COMMIT")):
            said.append(sql.removeprefix("PRAGMA "))

    store._connection.set_trace_callback(hear)
    return said


UNSYNCED = ["synchronous=NORMAL", "COMMIT"]
SYNCED = ["synchronous=FULL", "COMMIT"]
CHECKPOINT = "wal_checkpoint(PASSIVE)"


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(tmp_path / "parley.db")
    yield store
    await store.close()


def line(status: Literal["live", "ended"]) -> CallRecord:
    whose = {"id": "1-c1", "call_id": "c1", "company_id": "acme", "agent_id": "a1"}
    return CallRecord(**whose, status=status, started_at=datetime(2026, 1, 1, tzinfo=UTC))


async def test_a_live_call_does_not_wait_for_the_disk_and_all_else_does(file: SqliteStore) -> None:
    said = watched(file)
    await file.unpublish_agent("acme", "a1")
    assert said == SYNCED
    said.clear()
    await file.spend_token("t1", time.time() + 60)
    await file.append_events([event(0)])
    await file.documents.insert(CALLS, line("live"))
    assert said == UNSYNCED * 3
    said.clear()
    await file.documents.replace(CALLS, line("ended"))
    assert said == SYNCED, "and with it all that was written before"


async def test_a_live_call_shares_no_commit_with_what_waits_for_the_disk(file: SqliteStore) -> None:
    said: list[str] = []
    order: list[str] = []

    async def ask(name: str, work: Awaitable[object]) -> None:
        await work
        order.append(name)

    async with held(file):
        said = watched(file)
        work = [
            ask("write", file.unpublish_agent("acme", "a1")),
            ask("event", file.append_events([event(0)])),
            ask("read", file.events("acme", "c1")),
            ask("write", file.unpublish_agent("acme", "a2")),
            ask("event", file.append_events([event(1)])),
        ]
        tasks = [asyncio.create_task(one) for one in work]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["event", "event", "read", "write", "write"]
    assert said == ["COMMIT", *UNSYNCED, *UNSYNCED, *SYNCED]


@asynccontextmanager
async def held(store: SqliteStore) -> AsyncIterator[None]:
    """Its thread is busy: what is asked for in here waits."""
    busy, let_go = threading.Event(), threading.Event()

    def work(db: sqlite3.Connection) -> None:
        busy.set()
        assert let_go.wait(5)

    holding = asyncio.create_task(store._read(work))
    await asyncio.to_thread(busy.wait, 5)
    try:
        yield
    finally:
        let_go.set()
        await holding


async def test_the_log_goes_into_the_file_in_a_quiet_moment_and_when_the_store_is_closed(
    file: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_ROWS", 50)
    monkeypatch.setattr(sqlite, "BUSY_CHECKPOINT_ROWS", 10_000)
    said = watched(file)
    for seq in range(49):
        await file.append_events([event(seq)])
    async with held(file):
        writes = [asyncio.create_task(file.append_events([event(seq)])) for seq in range(49, 300)]
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    await file.events("acme", "c1")
    checkpoints = [n for n, text in enumerate(said) if text == CHECKPOINT]
    assert len(checkpoints) == 1, "somebody waited after the first group"
    assert events_in_the_file_alone(tmp_path) == 300
    await file.append_events([event(300)])
    assert said.count(CHECKPOINT) == 1
    other = SqliteStore(tmp_path / "parley.db")
    await file.close()
    assert said.count(CHECKPOINT) == 2
    assert events_in_the_file_alone(tmp_path) == 301
    await other.close()


def events_in_the_file_alone(folder: Path) -> int:
    """How many the database has without its WAL."""
    (folder / "alone.db").write_bytes((folder / "parley.db").read_bytes())
    db = sqlite3.connect(f"file:{folder / 'alone.db'}?immutable=1", uri=True)
    (count,) = db.execute("SELECT count(*) FROM call_events").fetchone()
    db.close()
    return int(count)


async def test_a_log_that_nobody_leaves_time_for_does_not_grow_for_ever(
    file: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "GROUP", 20)
    monkeypatch.setattr(sqlite, "BUSY_CHECKPOINT_ROWS", 100)
    async with held(file):
        said = watched(file)
        writes = [asyncio.create_task(file.append_events([event(seq)])) for seq in range(1000)]
        await asyncio.sleep(0)
    await asyncio.gather(*writes)
    assert said.count(CHECKPOINT) == 9, "one of ten came when nobody waited any more"
    assert (tmp_path / "parley.db-wal").stat().st_size < 300_000


UNSAYABLE = "\ud800"
"""Half of a character: JSON can name it, and no text can hold it."""


async def test_what_cannot_be_written_is_its_askers_fault_alone(file: SqliteStore) -> None:
    async with held(file):
        asked = [
            file.append_events([event(0)]),
            file.append_events([event(1), event(2).model_copy(update={"seq": 2**70})]),
            file.documents.insert(CALLS, line("live").model_copy(update={"caller": UNSAYABLE})),
            file.events("acme", UNSAYABLE),
            file.documents.insert(CALLS, line("live")),
        ]
        tasks = [asyncio.create_task(one) for one in asked]
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found] == [
        type(None),
        OverflowError,
        PydanticSerializationError,
        UnicodeEncodeError,
        type(None),
    ]
    assert [e.seq for e in await file.events("acme", "c1")] == [0], "all or none"


async def test_a_thread_that_breaks_leaves_nobody_waiting(file: SqliteStore, tmp_path: Path) -> None:
    def defect(db: sqlite3.Connection) -> None:
        raise SystemExit

    async with held(file):
        asked = [file.append_events([event(0)]), file._write(defect), file.unpublish_agent("acme", "a1")]
        tasks = [asyncio.create_task(one) for one in asked]
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        written, *failed = await asyncio.gather(*tasks, return_exceptions=True)
        assert written is None, "it was committed before"
        for error in failed:
            assert isinstance(error, ConfigurationError)
        with pytest.raises(ConfigurationError, match="out of order until a restart: SystemExit"):
            await file.events("acme", "c1")
        other = SqliteStore(tmp_path / "parley.db")
        await other.unpublish_agent("acme", "a1")
        assert len(await other.events("acme", "c1")) == 1, "the broken one holds no lock"
        await other.close()
        await file.close()
        with pytest.raises(ConfigurationError, match="closed"):
            await file.events("acme", "c1")

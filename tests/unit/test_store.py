"""The store's contract, on every implementation that is here."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest

from engine.config import Settings
from engine.errors import ConfigurationError
from engine.store import Conflict, Store, put_company
from engine.store.open import StoreOpener
from engine.store.sqlite import SqliteStore
from models import AgentConfig, CallEvent, Company


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


async def test_a_live_call_does_not_wait_for_the_disk_and_all_else_does(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "parley.db")
    statements: list[str] = []
    store._connection.set_trace_callback(statements.append)
    await store.unpublish_agent("acme", "a1")
    await store.append_events([event(0)])
    await store.unpublish_agent("acme", "a1")
    await store.close()
    assert [sql for sql in statements if sql.startswith("PRAGMA")] == [
        "PRAGMA synchronous=FULL",
        "PRAGMA synchronous=NORMAL",
        "PRAGMA synchronous=FULL",
    ]

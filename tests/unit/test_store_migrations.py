"""A store that an older Parley wrote is brought up to date when it is opened, and nothing in it is lost."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo import MongoClient

from engine.config import Settings
from engine.errors import ConfigurationError
from engine.store import Conflict, mongo, sqlite
from engine.store.open import open_store
from models import CallEvent

TOGETHER_S = 60.0


def event(company: str, call: str, seq: int, text: str = "") -> CallEvent:
    data = {"text": text or f"{company} {call} {seq}"}
    return CallEvent(call_id=call, company_id=company, seq=seq, kind="turn_ended", at_ms=0.1, data=data)


OLD = [
    *(event("acme", "c1", seq) for seq in range(20)),
    *(event("other", "c2", seq) for seq in range(3)),
    CallEvent(call_id="c2", company_id="other", seq=3, kind="call_ended", at_ms=0.2),
]
"""What is in the store. Until version 2 the numbers of a call were unique in the whole installation."""


@dataclass(frozen=True, slots=True)
class Old:
    """A store as version 1 left it. `version`: which one it says it has now."""

    settings: Settings
    version: Callable[[], int]
    newest: int


def sqlite_of(folder: Path, version: int) -> Old:
    path = folder / "parley.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA journal_mode=WAL")
        db.executescript(
            """CREATE TABLE call_events (
                   call_id TEXT NOT NULL, seq INTEGER NOT NULL, company_id TEXT NOT NULL, kind TEXT NOT NULL,
                   document TEXT NOT NULL, PRIMARY KEY (call_id, seq)) WITHOUT ROWID;
               CREATE INDEX call_events_by_company ON call_events (company_id, call_id);"""
        )
        rows = [(e.call_id, e.seq, e.company_id, e.kind, e.model_dump_json()) for e in OLD]
        db.executemany("INSERT INTO call_events VALUES (?, ?, ?, ?, ?)", rows)
        db.execute(f"PRAGMA user_version = {version}")
    db.close()

    def said() -> int:
        with sqlite3.connect(path) as db:
            return int(db.execute("PRAGMA user_version").fetchone()[0])

    return Old(Settings(_env_file=None, data_dir=folder), said, sqlite.VERSION)


def mongo_of(url: str, name: str, folder: Path, version: int) -> Old:
    """Without a version: whoever made it was stopped before that was written."""
    with MongoClient[dict[str, Any]](url) as client:
        events = client[name]["call_events"]
        events.create_index([("call_id", 1), ("seq", 1)], name="call_id_seq", unique=True)
        events.create_index([("company_id", 1), ("call_id", 1), ("kind", 1)], name="company_call_kind")
        include = {"call_id", "seq", "company_id", "kind"}
        events.insert_many([{**e.model_dump(include=include), "document": e.model_dump_json()} for e in OLD])
        if version:
            client[name]["meta"].insert_one({"_id": "schema", "version": version})

    def said() -> int:
        with MongoClient[dict[str, Any]](url) as client:
            assert "call_id_seq" not in client[name]["call_events"].index_information()
            (found,) = client[name]["meta"].find()
            return int(found["version"])

    settings = Settings(_env_file=None, data_dir=folder, mongodb_url=SecretStr(url), mongodb_database=name)
    return Old(settings, said, mongo.VERSION)


@pytest.fixture(params=["sqlite", "mongo"])
def old(request: pytest.FixtureRequest, tmp_path: Path, version: int) -> Iterator[Old]:
    if request.param == "sqlite":
        yield sqlite_of(tmp_path, version)
    else:
        url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
        yield mongo_of(url, name, tmp_path, version)


async def check(settings: Settings) -> None:
    """Open the store, and find in it what was there. Raises AssertionError."""
    store = await open_store(settings)
    try:
        found = [await store.events(company, call) for company, call in (("acme", "c1"), ("other", "c2"))]
        assert [one for journal in found for one in journal] == OLD
        assert await store.open_calls() == [("acme", "c1")]
    finally:
        await store.close()


def check_together(settings: Settings, start: Barrier) -> None:
    start.wait(TOGETHER_S)
    asyncio.run(check(settings))


@pytest.mark.parametrize("version", [0, 1])
async def test_journals_stay_and_are_the_companies_own_from_now_on(old: Old, version: int) -> None:
    for _ in range(2):
        await check(old.settings)
        assert old.version() == old.newest
    store = await open_store(old.settings)
    try:
        await store.append_events([event("other", "c1", 0, "theirs")])
        assert await store.events("other", "c1") == [event("other", "c1", 0, "theirs")]
        with pytest.raises(Conflict):
            await store.append_events([event("acme", "c1", 0, "anew")])
    finally:
        await store.close()
    store = await open_store(old.settings)
    assert len(await store.events("other", "c1")) == 1, "a migration that was done is not done again"
    await store.close()


@pytest.mark.parametrize("version", [1])
def test_several_processes_bring_it_up_to_date_at_once(old: Old, version: int) -> None:
    context = get_context("spawn")
    start = context.Barrier(2)
    processes = [context.Process(target=check_together, args=(old.settings, start)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(TOGETHER_S)
    assert [process.exitcode for process in processes] == [0, 0]
    assert old.version() == old.newest


@pytest.mark.parametrize("version", [1])
def test_a_migration_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = sqlite_of(tmp_path, version)
    (statements,) = sqlite.MIGRATIONS
    monkeypatch.setattr(sqlite, "MIGRATIONS", ((*statements, "DROP TABLE that_is_not_there"),))
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="that_is_not_there"):
            sqlite.SqliteStore(tmp_path / "parley.db")
        assert old.version() == version
    monkeypatch.undo()
    asyncio.run(check(old.settings))

"""What only MongoDB's store has to answer for; the contract is in `test_store` and `test_documents`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError
from pymongo import MongoClient

from engine.config import Settings
from engine.errors import ConfigurationError, UsageError
from engine.store import Conflict, Page, mongo
from engine.store.documents import COMPANIES, USERS
from engine.store.mongo import MongoStore
from engine.store.open import open_store
from models import AgentConfig, CallEvent, Company, Role, User


def event(seq: int, text: str = "", call: str = "c1") -> CallEvent:
    return CallEvent(
        call_id=call, company_id="acme", seq=seq, kind="turn_ended", at_ms=0.1, data={"text": text}
    )


@pytest.fixture
async def store(mongo_url: str, mongo_database: str) -> AsyncIterator[MongoStore]:
    store = await MongoStore.open(mongo_url, mongo_database)
    yield store
    await store.close()


async def test_a_conflict_in_the_middle_removes_what_this_append_wrote_and_nothing_else(
    store: MongoStore,
) -> None:
    await store.append_events([event(0, "mine"), event(2, "theirs")])
    with pytest.raises(Conflict, match="event 2 of call c1"):
        await store.append_events([event(2, "mine"), event(3), event(1), event(0, "mine")])
    assert [(e.seq, e.data["text"]) for e in await store.events("acme", "c1")] == [(0, "mine"), (2, "theirs")]


async def test_the_same_append_twice_at_once_is_stored_once(store: MongoStore) -> None:
    events = [event(seq) for seq in range(10)]
    await asyncio.gather(*(store.append_events(events) for _ in range(4)))
    assert await store.events("acme", "c1") == events


async def test_an_append_that_stopped_in_the_middle_is_completed_by_its_repetition(store: MongoStore) -> None:
    await store.append_events([event(0)])
    await store.append_events([event(0), event(1), event(1), event(2)])
    assert [e.seq for e in await store.events("acme", "c1")] == [0, 1, 2]


async def test_what_json_can_say_comes_back_from_a_journal(store: MongoStore) -> None:
    odd = event(0).model_copy(update={"data": {"$set": 2**80, "a.b": [0.1, None, "\0"], "": {}}})
    await store.append_events([odd])
    assert await store.events("acme", "c1") == [odd]


async def test_a_token_is_spent_once_also_by_another_process(
    store: MongoStore, mongo_url: str, mongo_database: str
) -> None:
    other = await MongoStore.open(mongo_url, mongo_database)
    later = time.time() + 60
    spent = await asyncio.gather(*(s.spend_token("t1", later) for s in (store, other, store)))
    assert sorted(spent) == [False, False, True]
    await other.close()


async def test_an_agent_is_published_anew_and_withdrawn(store: MongoStore) -> None:
    agents = [AgentConfig(id="front", company_id="acme", name=name) for name in "ABCD"]
    await asyncio.gather(*(store.publish_agent(agent) for agent in agents))
    assert await store.agent("acme", "front") in agents
    await store.unpublish_agent("acme", "front")
    assert await store.agent("acme", "front") is None


async def test_a_value_is_no_operator(store: MongoStore) -> None:
    ann = User(id="usr_1", company_id="acme", email="a@acme.test", name="Ann", role=Role.OWNER)
    await store.documents.insert(USERS, ann)
    operator: Any = {"$gt": ""}
    assert await store.documents.find(USERS, "acme", {"email": operator}, Page()) == []
    assert await store.documents.by_key(USERS, "email", operator) is None
    assert await store.documents.get(USERS, "acme", operator) is None
    assert await store.documents.get(USERS, operator, "usr_1") is None
    assert await store.documents.find(USERS, "acme", {"role": Role.OWNER}, Page()) == [ann]


async def test_what_bson_cannot_hold_is_the_callers_error(store: MongoStore) -> None:
    with pytest.raises(UsageError, match="cannot be kept"):
        await store.documents.insert(COMPANIES, Company(id="acme", name="Acme", max_calls=2**80))


async def test_opening_again_and_at_once_changes_nothing(
    store: MongoStore, mongo_url: str, mongo_database: str
) -> None:
    await store.append_events([event(0)])
    for other in await asyncio.gather(*(MongoStore.open(mongo_url, mongo_database) for _ in range(3))):
        assert await other.events("acme", "c1") == [event(0)]
        await other.close()
    with MongoClient[dict[str, Any]](mongo_url) as client:
        assert client[mongo_database]["meta"].find_one() == {"_id": "schema", "version": mongo.VERSION}


async def test_a_database_of_a_newer_parley_is_refused(
    store: MongoStore, mongo_url: str, mongo_database: str
) -> None:
    with MongoClient[dict[str, Any]](mongo_url) as client:
        client[mongo_database]["meta"].update_one({"_id": "schema"}, {"$set": {"version": 99}})
    with pytest.raises(ConfigurationError, match="newer Parley"):
        await MongoStore.open(mongo_url, mongo_database)


async def test_migrations_run_once_and_in_order(
    store: MongoStore, mongo_url: str, mongo_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []

    async def second(_: object) -> None:
        ran.append(2)

    async def third(_: object) -> None:
        ran.append(3)

    with MongoClient[dict[str, Any]](mongo_url) as client:
        client[mongo_database]["meta"].update_one({"_id": "schema"}, {"$set": {"version": 1}})
    monkeypatch.setattr(mongo, "MIGRATIONS", (second, third))
    monkeypatch.setattr(mongo, "VERSION", 3)
    for _ in range(2):
        await (await MongoStore.open(mongo_url, mongo_database)).close()
    assert ran == [2, 3]


@pytest.mark.parametrize("password", ["pa55word", "p%4055word"])
async def test_a_server_that_is_not_there_is_one_line_without_the_password(
    password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo, "OPERATION_MS", 100)
    with pytest.raises(ConfigurationError) as caught:
        await MongoStore.open(f"mongodb://parley:{password}@127.0.0.1:1/", "parley")
    said = str(caught.value)
    assert said.startswith("MongoDB: 127.0.0.1:1: ")
    assert "55word" not in said
    assert len(said) < 250
    assert "\n" not in said


async def test_a_url_that_is_none_does_not_show_its_password() -> None:
    for url in ("mongodb://parley:p:55word@host/", "mongodb://parley:55word@host:port/"):
        with pytest.raises(ConfigurationError) as caught:
            await MongoStore.open(url, "parley")
        assert "55word" not in str(caught.value)


async def test_the_url_chooses_the_store(mongo_url: str, mongo_database: str) -> None:
    chosen = Settings(_env_file=None, mongodb_url=SecretStr(mongo_url), mongodb_database=mongo_database)
    store = await open_store(chosen)
    assert isinstance(store, MongoStore)
    await store.close()


def test_another_databases_url_is_refused() -> None:
    with pytest.raises(ValidationError, match="must begin with mongodb"):
        Settings(_env_file=None, mongodb_url=SecretStr("postgres://parley:55word@host/"))

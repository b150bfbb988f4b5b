"""A store for each test, on every implementation: SQLite, and MongoDB where a server for tests can be had."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from engine.store import Store
from engine.store.mongo import MongoStore
from engine.store.sqlite import SqliteStore
from tests import mongo_server


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    try:
        with mongo_server.running(tmp_path_factory.mktemp("mongo")) as url:
            yield url
    except mongo_server.NoServerError as error:
        if os.environ.get("CI"):
            pytest.fail(f"tests of MongoDB must run here: {error}")
        pytest.skip(str(error))


@pytest.fixture
def mongo_database(mongo_url: str) -> Iterator[str]:
    """The name of a database that is not there before the test, nor after it."""
    name = f"parley_test_{secrets.token_hex(6)}"
    yield name
    with MongoClient[dict[str, object]](mongo_url) as client:
        client.drop_database(name)


@pytest.fixture(params=["sqlite", "mongo"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store: Store
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "data" / "parley.db")
    else:
        url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
        store = await MongoStore.open(url, name)
    yield store
    await store.close()

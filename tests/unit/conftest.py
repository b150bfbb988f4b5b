"""A store for each test, on every implementation: SQLite, and MongoDB where a server for tests can be had."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from engine.config import Settings
from engine.services import passwords
from engine.store import Store
from engine.store.mongo import MongoStore
from engine.store.sqlite import SqliteStore
from tests import mongo_server
from tests.unit.api_client import Site


@pytest.fixture(scope="session")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mongo_server.needed(tmp_path_factory.mktemp("mongo")) as url:
        yield url


@pytest.fixture
def mongo_database(mongo_url: str) -> Iterator[str]:
    """The name of a database that is not there before the test, nor after it."""
    name = f"parley_test_{secrets.token_hex(6)}"
    yield name
    with MongoClient[dict[str, object]](mongo_url) as client:
        client.drop_database(name)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The contract is tested on every store; what stands on the contract, on one."""
    if "store" in metafunc.fixturenames:
        kinds = ["sqlite"] if "site" in metafunc.fixturenames else ["sqlite", "mongo"]
        metafunc.parametrize("store", kinds, indirect=True)


@pytest.fixture
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    store: Store
    if request.param == "sqlite":
        store = SqliteStore(tmp_path / "data" / "parley.db")
    else:
        url, name = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_database")
        store = await MongoStore.open(url, name)
    yield store
    await store.close()


@pytest.fixture
async def site(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    site = Site(store, Settings(_env_file=None, data_dir=tmp_path))
    yield site
    await site.client.aclose()

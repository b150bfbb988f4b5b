"""A store for each test, on every implementation that is here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.config import Settings
from engine.services import passwords
from engine.store import Store
from engine.store.sqlite import SqliteStore
from tests.unit.api_client import Site


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = SqliteStore(tmp_path / "data" / "parley.db")
    yield store
    await store.close()


@pytest.fixture
async def site(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    site = Site(store, Settings(_env_file=None, data_dir=tmp_path))
    yield site
    await site.client.aclose()

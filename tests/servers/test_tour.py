"""docs/tour.sh, as a new company runs it, on a server with either store."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from engine.cli.server_process import ServerProcess
from engine.config import Settings
from engine.telephony.tokens import local_url
from tests import mongo_server
from tests.tour import ROOT, run_tour


@pytest.fixture(scope="module")
def mongo_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mongo_server.needed(tmp_path_factory.mktemp("mongo")) as url:
        yield url


def take_the_tour(tmp_path: Path) -> None:
    """Start a server in the environment as it is, and stop it again."""
    settings = Settings(data_dir=tmp_path / "data")
    process = ServerProcess(settings, config=ROOT / "serve_config.yaml")
    try:
        for _ in process.wait_until_ready():
            pass
        run_tour(local_url(settings), tmp_path)
    finally:
        process.stop()


def test_the_tour_on_sqlite(tmp_path: Path) -> None:
    take_the_tour(tmp_path)
    assert (tmp_path / "data" / "parley.db").exists()


def test_the_tour_on_mongodb(mongo_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"parley_test_{secrets.token_hex(6)}"
    monkeypatch.setenv("PARLEY_MONGODB_URL", mongo_url)
    monkeypatch.setenv("PARLEY_MONGODB_DATABASE", name)
    take_the_tour(tmp_path)
    with MongoClient[dict[str, object]](mongo_url) as client:
        assert client[name]["calls"].count_documents({"status": "ended"}) == 1
        client.drop_database(name)
    assert not (tmp_path / "data" / "parley.db").exists(), "nothing is kept in SQLite beside it"

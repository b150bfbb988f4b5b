"""One real server for the whole folder: Ray, every application, the starter models."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import demo, weights
from engine.cli.server_process import ServerProcess
from engine.config import Settings
from engine.store.sqlite import SqliteStore
from tests.cluster.site import SHORT, RaySide, Site
from tests.cluster.talk import Judge
from tests.cluster.vendors import Vendors, running_vendors

ROOT = Path(__file__).parents[2]
LOG_LINES = 60
NO_COLOURS = re.compile(r"\x1b\[\d+m")
ROUTINE = re.compile(r" -- (CALL|WS|GET|POST) \S+ (OK|200)")

Note = Callable[[str, object], None]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def vendors() -> Iterator[Vendors]:
    """Simulated vendors, which agents of the server may have in their chains."""
    with running_vendors() as vendors:
        yield vendors


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, vendors: Vendors) -> Iterator[Site]:
    """The server of `serve_config.yaml` with the demo company, on ports of its own."""
    os.environ |= {
        **vendors.environ,
        "PARLEY_PORT": str(free_port()),
        "PARLEY_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
    }
    settings = Settings()
    process = ServerProcess(settings, config=ROOT / "serve_config.yaml")
    try:
        address = ""
        for event in process.wait_until_ready():
            address = event.get("address", address)
        store = SqliteStore(settings.data_dir / "parley.db")
        asyncio.run(_add_agents(store))
        with RaySide.of(process, address) as ray_side:
            yield Site(settings, process, ray_side, store)
        asyncio.run(store.close())
    finally:
        process.stop()


async def _add_agents(store: SqliteStore) -> None:
    agent = demo.agent()
    phrases = agent.phrases.model_copy(update={"greeting": "Hello.", "unknown": "I am sorry, I do not know."})
    await store.publish_agent(agent.model_copy(update={"id": SHORT, "phrases": phrases}))


@pytest.fixture(scope="session")
def judge() -> Judge:
    from engine.providers.stt.whisper import WhisperDecoder

    return Judge(WhisperDecoder.load(weights.folder("whisper-tiny.en")))


@pytest.fixture
def note(record_property: Callable[[str, object], None]) -> Note:
    """Keep a measurement with the test's report (`-s` shows it); nothing is asserted about it."""

    def write(name: str, value: object) -> None:
        record_property(name, value)
        print(f"{name}: {value}")

    return write


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """A failed test shows the end of the server's log."""
    outcome = yield
    report = outcome.get_result()
    site = getattr(item, "funcargs", {}).get("server")
    if report.failed and site is not None:
        lines = [line for line in NO_COLOURS.sub("", site.log()).splitlines() if not ROUTINE.search(line)]
        report.sections.append(("server log", "\n".join(lines[-LOG_LINES:])))

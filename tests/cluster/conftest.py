"""One real server for the whole folder: Ray, every application, the starter models."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from engine.cli.server_process import ServerProcess
from engine.config import Settings

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Server:
    """A running server, its settings (also in this process's environment) and its process."""

    settings: Settings
    process: ServerProcess

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.settings.port}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of `serve_config.yaml` with the demo company, on ports of its own."""
    os.environ |= {
        "PARLEY_PORT": str(free_port()),
        "PARLEY_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
    }
    settings = Settings()
    process = ServerProcess(settings, config=ROOT / "serve_config.yaml")
    try:
        for _ in process.wait_until_ready():
            pass
        yield Server(settings, process)
    finally:
        process.stop()

"""What a process tree uses, and where a run took place."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.simulator.usage import Meter, Server, machine, metered, running_server, versions

CHILD = "import sys; sum(range(3_000_000)); print('x', flush=True); sys.stdin.read()"


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_memory_and_cpu_of_what_comes_and_goes(child: subprocess.Popen[bytes]) -> None:
    meter = Meter(os.getpid())
    meter.sample()
    assert child.stdout is not None
    child.stdout.read(1)
    meter.sample()
    child.kill()
    child.wait()
    meter.sample()
    usage = meter.usage()
    assert usage.processes >= 2
    assert usage.memory_peak_mib > usage.memory_end_mib > 1
    assert usage.cpu_cores > 0


async def test_a_tree_that_is_gone_uses_nothing(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    async with metered(child.pid) as meter:
        pass
    assert (meter.usage().processes, meter.usage().cpu_cores) == (0, 0)


def test_the_server_is_found_by_its_file(tmp_path: Path) -> None:
    assert running_server(tmp_path) is None
    file = tmp_path / "server.json"
    for content in ["{", "[]", '{"pid": "x", "url": ""}', '{"url": ""}']:
        file.write_text(content)
        assert running_server(tmp_path) is None
    server = Server(os.getpid(), "http://127.0.0.1:8000")
    file.write_text(json.dumps({"pid": server.pid, "url": server.url}))
    assert running_server(tmp_path) == server


def test_where_it_ran() -> None:
    assert machine()["cores"] >= 1
    assert machine()["memory_gib"] > 0
    assert {"python", "parley", "websockets"} <= versions().keys()

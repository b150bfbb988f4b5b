"""Model servers as children: started with a deadline, ended with their owner. Real processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap

import psutil
import pytest

from engine.errors import ProviderTimeout, ProviderUnavailable
from engine.providers.llm.server_process import AnswersHealth, PrintsItsAddress, ServerProcess

SERVES = 'print(\'{"base_url": "http://127.0.0.1:1/v1", "api_key": "k"}\', flush=True); sys.stdin.read()'
HEALTHY = """
import http.server, os, sys
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if os.environ["VLLM_API_KEY"] else 500)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health).serve_forever()
"""


def program(code: str) -> PrintsItsAddress:
    return PrintsItsAddress("model", (sys.executable, "-S", "-c", f"import sys; {code}"))


async def test_a_server_says_where_it_is_and_ends_when_stopped() -> None:
    server = await ServerProcess.start(program(SERVES), deadline_s=10)
    assert server.address.base_url == "http://127.0.0.1:1/v1"
    assert server.address.api_key == "k"
    assert "api_key" not in repr(server.address)
    assert server.running
    await server.stop()
    assert not server.running
    assert not psutil.pid_exists(server.pid)
    await server.stop()


async def test_its_death_is_noticed() -> None:
    server = await ServerProcess.start(program(SERVES), deadline_s=10)
    psutil.Process(server.pid).kill()
    assert await server.ended() == -9
    assert not server.running


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ('print(\'{"error": "no such file"}\', flush=True)', "no such file"),
        ("sys.exit(3)", "status 3|ended before it served"),
    ],
)
async def test_a_server_that_does_not_start_says_why(code: str, message: str) -> None:
    with pytest.raises(ProviderUnavailable, match=message):
        await ServerProcess.start(program(code), deadline_s=10)


async def test_a_command_that_is_not_there() -> None:
    with pytest.raises(ProviderUnavailable, match="cannot be started"):
        await ServerProcess.start(PrintsItsAddress("model", ("/nowhere/server",)), deadline_s=10)


async def test_a_server_that_is_not_ready_in_time_is_ended() -> None:
    before = set(psutil.Process().children())
    with pytest.raises(ProviderTimeout):
        await ServerProcess.start(program("sys.stdin.read()"), deadline_s=0.05)
    assert set(psutil.Process().children()) <= before


async def test_a_guarded_server_is_ready_when_healthy_and_ends_when_stopped() -> None:
    launch = AnswersHealth("vllm", lambda port: (sys.executable, "-S", "-c", HEALTHY, str(port)))
    server = await ServerProcess.start(launch, deadline_s=20)
    [child] = psutil.Process(server.pid).children()
    assert server.address.base_url == f"http://127.0.0.1:{launch.port}/v1"
    assert server.address.api_key not in " ".join(child.cmdline())
    await server.stop()
    assert not child.is_running()


def test_a_guarded_server_and_its_children_end_with_their_owner() -> None:
    """The owner is killed outright; the command has started a child of its own, which ignores SIGHUP."""
    code = """
    import subprocess, sys, time
    print(subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"]).pid, flush=True)
    time.sleep(60)
    """
    owner = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "engine.providers.llm.guard",
            sys.executable,
            "-S",
            "-c",
            textwrap.dedent(code),
        ],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert owner.stdin is not None
    assert owner.stderr is not None
    with owner.stderr:
        grandchild = psutil.Process(int(owner.stderr.readline()))
        family = [*psutil.Process(owner.pid).children(recursive=True)]
        assert grandchild in family
        owner.stdin.close()
        assert owner.wait(timeout=10) == 128 + 15
    assert psutil.wait_procs(family, timeout=5)[1] == []


def test_the_guard_ends_with_the_status_of_its_command() -> None:
    command = [sys.executable, "-m", "engine.providers.llm.guard", "sh", "-c", "exit 7"]
    read, write = os.pipe()
    try:
        assert subprocess.run(command, stdin=read, check=False, timeout=10).returncode == 7
    finally:
        os.close(read)
        os.close(write)


async def test_cancelling_a_start_leaves_nothing() -> None:
    before = set(psutil.Process().children())
    starting = asyncio.create_task(ServerProcess.start(program("sys.stdin.read()"), deadline_s=60))
    while not set(psutil.Process().children()) - before:  # noqa: ASYNC110 the process table has no event
        await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert set(psutil.Process().children()) <= before

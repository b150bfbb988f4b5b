"""`parley media-url`: one URL, quickly, or one clear line."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.telephony.tokens import verify

SECRET = "t" * 40
PROGRAM = """
import sys
from engine.cli.media_url import command
from engine.errors import UsageError
try:
    command(sys.argv[1:], standalone_mode=False)
except UsageError as error:
    sys.exit(f"usage: {error}")
heavy = {"ray", "fastapi", "numpy", "torch", "openai"} & {name.split(".")[0] for name in sys.modules}
sys.exit(f"heavy imports: {heavy}" if heavy else 0)
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A port on which something accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def run(folder: Path, port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")}
    environment |= {"PARLEY_PORT": str(port), "PARLEY_SECRET": SECRET, "PARLEY_DATA_DIR": str(folder)}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=20,
        check=False,
    )


def test_prints_one_url(tmp_path: Path, port: int) -> None:
    done = run(tmp_path, port, "--agent", "front-desk", "--company", "acme", "--ttl", "30")
    assert (done.returncode, done.stderr) == (0, "")
    address, token = done.stdout.strip().rsplit("/", 1)
    assert address == f"ws://127.0.0.1:{port}/media"
    claims = verify(token, SECRET)
    assert (claims.company_id, claims.agent_id, claims.events) == ("acme", "front-desk", False)


def test_prints_json(tmp_path: Path, port: int) -> None:
    done = run(tmp_path, port, "--json", "--events")
    answer = json.loads(done.stdout)
    claims = verify(answer["url"].rsplit("/", 1)[1], SECRET)
    assert (answer["call_id"], answer["expires_in_s"]) == (claims.call_id, 60)
    assert (claims.company_id, claims.agent_id, claims.events) == ("demo", "demo", True)


def test_says_that_no_server_runs(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: nobody else gets the port
        done = run(tmp_path, taken.getsockname()[1])
    assert done.returncode == 1
    assert done.stdout == ""
    assert "parley serve" in done.stderr
    assert done.stderr.count("\n") == 1

"""A server that speaks MongoDB's protocol, for tests: the one of PARLEY_TEST_MONGODB_URL, else mongoeco.

mongoeco needs a newer Python than Parley, so it has a virtual environment of its own, made once and kept in
the user's cache. Run as a script, in that environment, this module is the server: `mongo_server.py FILE`.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

PACKAGE = "mongoeco[wire]==4.11.*"
VERSIONS = ("3.14", "3.13")
START_S = 20.0


class NoServerError(Exception):
    """There is no server here; the message says why."""


@contextmanager
def running(folder: Path) -> Iterator[str]:
    """The URL of a server that keeps its data in `folder`. Raises NoServerError."""
    if url := os.environ.get("PARLEY_TEST_MONGODB_URL"):
        yield url
        return
    command = [str(_environment()), str(Path(__file__).resolve()), str(folder / "mongoeco.db")]
    with open(folder / "mongoeco.log", "wb") as log:
        # It ends when its standard input does, also when the tests are killed.
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    assert server.stdin is not None
    assert server.stdout is not None
    try:
        url = server.stdout.readline().decode().strip()
        if not url:
            raise NoServerError(f"mongoeco did not start: see {folder / 'mongoeco.log'}")
        yield url
    finally:
        server.stdin.close()
        try:
            server.wait(START_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        server.stdout.close()


@contextmanager
def needed(folder: Path) -> Iterator[str]:
    """As `running`, for a test: where there is none it is skipped, and fails in CI."""
    import pytest  # not there where this module is the server

    try:
        with running(folder) as url:
            yield url
    except NoServerError as error:
        if os.environ.get("CI"):
            pytest.fail(f"tests of MongoDB must run here: {error}")
        pytest.skip(str(error))


def _environment() -> Path:
    """The interpreter of mongoeco's environment, which is made where it is missing."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "parley" / "mongoeco"
    interpreter, ready = cache / "bin" / "python", cache / "ready"
    cache.parent.mkdir(parents=True, exist_ok=True)
    # Several test processes come here at once: one makes it, the others wait.
    with open(cache.parent / "mongoeco.lock", "w") as lock:
        flock(lock, LOCK_EX)
        if not ready.exists() or ready.read_text() != PACKAGE:
            shutil.rmtree(cache, ignore_errors=True)
            _run(str(_python()), "-m", "venv", str(cache))
            _run(str(interpreter), "-m", "pip", "install", "-q", PACKAGE)
            ready.write_text(PACKAGE)
    return interpreter


def _python() -> Path:
    pyenv = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser() / "versions"
    # Where this very Python lies among others, as pyenv and uv keep them, those are tried too.
    at_home = Path(pwd.getpwuid(os.getuid()).pw_dir) / ".pyenv" / "versions"  # also where HOME is another
    folders = (pyenv, at_home, Path(sys.base_prefix).parent)
    for version in VERSIONS:
        found = shutil.which(f"python{version}")
        # A shim of pyenv may stand for a version that is not chosen: whether it runs is what counts.
        candidates = [Path(found)] if found else []
        candidates += [each for folder in folders for each in sorted(folder.glob(f"{version}*/bin/python"))]
        for candidate in candidates:
            if subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
                return candidate
    raise NoServerError("no PARLEY_TEST_MONGODB_URL, and no Python 3.13 or newer to run mongoeco with")


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise NoServerError(f"{' '.join(command[1:4])} failed: {last}")


async def _serve(path: str) -> None:
    from mongoeco.engines.sqlite import SQLiteEngine  # type: ignore[import-not-found, unused-ignore]
    from mongoeco.wire import AsyncMongoEcoProxyServer  # type: ignore[import-not-found, unused-ignore]

    async with AsyncMongoEcoProxyServer(engine=SQLiteEngine(path), host="127.0.0.1", port=0) as server:
        print(server.address.uri, flush=True)
        await asyncio.to_thread(sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))

"""The server as a child of the command line: started with its switches, watched, stopped, nothing left.

The command line never imports Ray. It talks with `python -m deployments.server` over two pipes: JSON lines
come out of it, and closing its standard input asks it to stop. So a server never outlives whoever started it.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from engine import switches
from engine.config import Settings
from engine.errors import ConfigurationError
from engine.providers.stub import StubDelays

STOP_S = 30.0
LOG = "server.log"


class ServerProcess:
    """`events` yields what the server reports, in order, until it has ended.

    `environ` is what it was started with: whoever has that can join its Ray. With `stubs` it has no models.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        config: Path,
        knowledge: Path | None = None,
        stubs: StubDelays | None = None,
    ) -> None:
        try:
            settings.data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            mend = "set PARLEY_DATA_DIR to a folder that can be written"
            raise ConfigurationError(f"cannot use {settings.data_dir}: {error.strerror}; {mend}") from error
        self.log_path = settings.data_dir / LOG
        self.environ = environment(settings)
        command = [sys.executable, "-m", "deployments.server", "--config", str(config)]
        if knowledge is not None:
            command += ["--knowledge", str(knowledge)]
        if stubs is not None:
            command += ["--stubs", stubs.model_dump_json()]
        with self.log_path.open("w") as log:
            # A session of its own: a Ctrl-C at the terminal reaches Ray's processes only through this one.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=self.environ,
                start_new_session=True,
            )
        self._children: list[psutil.Process] = []

    @property
    def pid(self) -> int:
        return self._process.pid

    def events(self) -> Iterator[dict[str, Any]]:
        """Reports of the server; ends with it. Lines that are not reports belong to libraries: skipped."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                self._remember_children()
                yield event

    def wait_until_ready(self) -> Iterator[dict[str, Any]]:
        """Yield reports up to `ready`; raises ConfigurationError in one line when the server fails."""
        for event in self.events():
            yield event
            if event["event"] == "failed":
                raise ConfigurationError(event["error"])
            if event["event"] == "ready":
                return
        raise ConfigurationError(f"the server ended while it started: see {self.log_path}")

    def interrupt(self) -> None:
        """Once: let calls finish. Twice: end them."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def stop(self) -> None:
        """Ask it to stop, wait, and make sure that no process of it is left."""
        self._remember_children()
        self.interrupt()
        deadline = time.monotonic() + STOP_S
        try:
            self._process.wait(deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, alive = psutil.wait_procs(self._children, timeout=3.0)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=3.0)

    def _remember_children(self) -> None:
        try:
            self._children = psutil.Process(self._process.pid).children(recursive=True) or self._children
        except psutil.NoSuchProcess:
            return


def environment(settings: Settings) -> dict[str, str]:
    """What the server and all under it gets: the switches, absolute paths, a token for this Ray alone."""
    environ = switches.with_switches(os.environ)
    environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    environ["PARLEY_DATA_DIR"] = str(settings.data_dir)
    environ["PARLEY_MODELS_DIR"] = str(settings.models_dir)
    environ["PARLEY_HOST"], environ["PARLEY_PORT"] = settings.host, str(settings.port)
    environ["PARLEY_MAX_CALLS"] = str(settings.max_calls)
    environ["PYTHONPATH"] = os.pathsep.join([str(Path.cwd()), *filter(None, [os.environ.get("PYTHONPATH")])])
    environ["PYTHONUNBUFFERED"] = "1"
    return environ

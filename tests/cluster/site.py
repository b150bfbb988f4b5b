"""The running server as the tests see it: its processes, its journals, its Ray, calls to it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import psutil

from engine.cli.server_process import ServerProcess
from engine.config import Settings
from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity
from engine.store.sqlite import SqliteStore
from engine.telephony.tokens import MediaClaims, local_url, media_url
from models import CallEvent

T = TypeVar("T")

RESTING_S = 0.5

CLINIC, SHORT = "demo", "short"
"""The demo company, and an agent of it whose greeting is one word: less to wait for."""


async def eventually(check: Callable[[], Awaitable[T]], within_s: float, what: str) -> T:
    """What `check` returns as soon as that counts as true; fails with `what` when it never does."""
    deadline = time.monotonic() + within_s
    while True:
        found = await check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what} (last: {found!r})"
        await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Holdings:
    """What the server holds. `descriptors`: open files and sockets of each media replica, by pid."""

    processes: int
    idle: int
    actors: int
    descriptors: dict[int, int]


class RaySide:
    """`tests.cluster.ray_side` as a child: `ask` one thing at a time."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._asking = asyncio.Lock()

    @classmethod
    @contextmanager
    def of(cls, server: ServerProcess, address: str) -> Iterator[RaySide]:
        command = [sys.executable, "-m", "tests.cluster.ray_side", address]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(server.environ)
        )
        try:
            side = cls(process)
            side._answer()
            yield side
        finally:
            process.kill()
            process.wait()

    async def ask(self, what: str, **arguments: str) -> Any:
        """Raises RuntimeError with what went wrong on the other side."""
        async with self._asking:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps({"ask": what, **arguments}) + "\n")
            self._process.stdin.flush()
            said = await asyncio.to_thread(self._answer)
        if "error" in said:
            raise RuntimeError(said["error"])
        return said["answer"]

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                answer: dict[str, Any] = json.loads(line)
                return answer
        raise RuntimeError("the process that speaks to Ray has ended: see its output above")


@dataclass(frozen=True)
class Site:
    """A running server, its settings (also in this process's environment) and ways to look into it."""

    settings: Settings
    process: ServerProcess
    ray: RaySide
    store: SqliteStore

    @property
    def url(self) -> str:
        return local_url(self.settings)

    # Calls

    def media_url(
        self,
        identity: CallIdentity,
        *,
        company: str = CLINIC,
        agent: str = SHORT,
        ttl_s: float | None = None,
    ) -> str:
        """A fresh URL for the call of that identity."""
        claims = MediaClaims(company, agent, identity.call_sid, events=True)
        return media_url(self.settings, claims, base_url=self.url, ttl_s=ttl_s)

    @asynccontextmanager
    async def dial(
        self, line: Line | None = None, *, company: str = CLINIC, agent: str = SHORT
    ) -> AsyncIterator[Caller]:
        """A caller on the line, with the identity of `line` or a new one."""
        line = line or Line()
        identity = line.identity or CallIdentity()
        placed = replace(line, identity=identity)
        async with Caller.dial(self.media_url(identity, company=company, agent=agent), placed) as caller:
            yield caller

    # Journals

    async def journal(self, call: str, company: str = CLINIC) -> list[CallEvent]:
        return await self.store.events(company, call)

    async def entries(self, call: str, kind: str, company: str = CLINIC) -> list[dict[str, Any]]:
        """The data of one kind of event in a call's journal."""
        return [event.data for event in await self.journal(call, company) if event.kind == kind]

    async def ended(self, call: str, within_s: float = 10.0, company: str = CLINIC) -> str:
        """The reason in the journal for which the call ended, once it has."""

        async def reason() -> str | None:
            found = await self.entries(call, "call_ended", company)
            return found[0]["reason"] if found else None

        said = await eventually(reason, within_s, f"call {call} has ended")
        assert said is not None
        return said

    # Processes

    def processes(self, title: str = "") -> list[psutil.Process]:
        """The server's processes whose command line contains a match of `title`."""
        found = []
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                if re.search(title, " ".join(process.cmdline())) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)

    async def actor(self, call: str) -> dict[str, Any]:
        """The actor that holds a call: name, pid."""

        async def holder() -> dict[str, Any] | None:
            return next((one for one in await self.ray.ask("actors") if one["call_id"] == call), None)

        found = await eventually(holder, 10, f"an actor has call {call}")
        assert found is not None
        return found

    async def freed(self, call: str, within_s: float) -> None:
        """Wait until neither the switchboard nor any actor has the call."""

        async def free() -> bool:
            board, actors = await self.ray.ask("board"), await self.ray.ask("actors")
            return call not in board["calls"] and all(one["call_id"] != call for one in actors)

        await eventually(free, within_s, f"lease and actor of call {call} are free")

    async def at_rest(self) -> Holdings:
        """What the server holds once no call lives, no actor is being started and nothing changes any more.

        Fails when an actor stays that the switchboard does not count as idle.
        """
        last: Holdings | None = None

        async def resting() -> Holdings | None:
            nonlocal last
            board, actors = await self.ray.ask("board"), await self.ray.ask("actors")
            descriptors = {edge.pid: edge.num_fds() for edge in self.processes("MediaEdge")}
            found = Holdings(len(self.processes()), len(board["idle"]), len(actors), descriptors)
            before, last = last, found
            if board["calls"] or len(actors) != len(board["idle"]) or found != before:
                await asyncio.sleep(RESTING_S)
                return None
            return found

        holdings = await eventually(resting, 60, "the server comes to rest")
        assert holdings is not None
        return holdings

    def log(self) -> str:
        return self.process.log_path.read_text(errors="replace")

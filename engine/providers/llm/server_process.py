"""A model server as a child process: started with a deadline, watched, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import httpx

from engine.errors import ProviderTimeout, ProviderUnavailable

STOP_GRACE_S = 15.0
POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server answers, and the key that it wants (made anew at each start)."""

    base_url: str
    api_key: str = field(repr=False)


class Launch(Protocol):
    """How a kind of server is started and when it is ready."""

    @property
    def name(self) -> str: ...
    def command(self) -> Sequence[str]: ...
    def environment(self) -> Mapping[str, str]: ...
    async def ready(self, stdout: asyncio.StreamReader) -> Address:
        """Returns once the server answers; is cancelled at the deadline or when the process ends."""
        ...


@dataclass(frozen=True, slots=True)
class PrintsItsAddress:
    """A program that prints `{"base_url", "api_key"}` as a line of JSON when it serves, or `{"error"}`."""

    name: str
    argv: Sequence[str]

    def command(self) -> Sequence[str]:
        return self.argv

    def environment(self) -> Mapping[str, str]:
        return {}

    async def ready(self, stdout: asyncio.StreamReader) -> Address:
        line = await stdout.readline()
        if not line:
            raise ProviderUnavailable(f"{self.name} ended before it served: see its log", provider=self.name)
        said = json.loads(line)
        if "error" in said:
            raise ProviderUnavailable(said["error"], provider=self.name)
        return Address(said["base_url"], said["api_key"])


@dataclass(slots=True)
class AnswersHealth:
    """A server that takes a port and answers GET /health, such as `vllm serve`, kept by `guard`.

    `argv` is given the port and the key that were chosen.
    """

    name: str
    argv: Callable[[int], Sequence[str]]
    key_variable: str = "VLLM_API_KEY"
    port: int = field(default_factory=lambda: _free_port())
    api_key: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "engine.providers.llm.guard", *self.argv(self.port)]

    def environment(self) -> Mapping[str, str]:
        # Not on the command line, which every user of the machine can read.
        return {self.key_variable: self.api_key}

    async def ready(self, stdout: asyncio.StreamReader) -> Address:
        root = f"http://127.0.0.1:{self.port}"
        async with httpx.AsyncClient(timeout=2.0) as client:
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(f"{root}/health")).status_code == 200:
                        return Address(f"{root}/v1", self.api_key)
                await asyncio.sleep(POLL_S)


class ServerProcess:
    """One run of a server. It ends when `stop` is called, and by itself when this process is gone."""

    def __init__(self, process: asyncio.subprocess.Process, name: str, address: Address) -> None:
        self._process = process
        self.name = name
        self.address = address

    @classmethod
    async def start(cls, launch: Launch, *, deadline_s: float) -> ServerProcess:
        """Raises ProviderUnavailable when it ends or says no, ProviderTimeout when it is not ready in time.

        On every error, and when cancelled, the process is gone.
        """
        try:
            process = await asyncio.create_subprocess_exec(
                *launch.command(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, **launch.environment()},
            )
        except OSError as error:
            raise ProviderUnavailable(
                f"{launch.name} cannot be started: {error}", provider=launch.name
            ) from error
        try:
            async with asyncio.timeout(deadline_s):
                address = await _first_of(process, launch)
        except BaseException as error:
            await _end(process)
            if isinstance(error, TimeoutError):
                raise ProviderTimeout(
                    f"{launch.name} was not ready after {deadline_s:g} s", provider=launch.name
                ) from error
            raise
        return cls(process, launch.name, address)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def ended(self) -> int:
        """Waits for the process to end, for whatever reason; its exit status."""
        return await self._process.wait()

    async def stop(self) -> None:
        """Ends the process and waits for it: by closing its stdin, after `STOP_GRACE_S` by force."""
        await _end(self._process)


async def _first_of(process: asyncio.subprocess.Process, launch: Launch) -> Address:
    assert process.stdout is not None
    ready = asyncio.ensure_future(launch.ready(process.stdout))
    ended = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
        if ended.done() and not ready.done():
            # Its last line may say why, and is read already or about to be.
            await asyncio.wait((ready,), timeout=1.0)
        if not ready.done():
            raise ProviderUnavailable(
                f"{launch.name} ended with status {process.returncode} before it served: see its log",
                provider=launch.name,
            )
        return ready.result()
    finally:
        ready.cancel()
        ended.cancel()
        await asyncio.gather(ready, ended, return_exceptions=True)


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(STOP_GRACE_S):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError) as error:
        if process.returncode is None:
            process.kill()
        if isinstance(error, asyncio.CancelledError):
            raise
        await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port

"""A small answering agent behind the Twilio protocol, for tests of the caller simulator.

It keeps time by the frames it receives, so that it works at any speed. What it answers to a question is a
script of steps; it takes the end of a question after `PATIENCE` quiet frames.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.server import ServerConnection, serve

from engine.audio import g711
from engine.simulator.tape import FRAME_BYTES, loud

PATIENCE = 10


def tone(ms: int, *, peak: int = 8_000, hz: int = 440) -> NDArray[np.int16]:
    """A loud tone, PCM at 8,000 Hz."""
    return (peak * np.sin(2 * np.pi * hz * np.arange(8 * ms) / 8_000)).astype(np.int16)


def media(audio: bytes) -> dict[str, Any]:
    return {"event": "media", "media": {"payload": base64.b64encode(audio).decode()}}


def speech(ms: int) -> dict[str, Any]:
    return media(g711.pcm_to_ulaw(tone(ms)))


def mark(name: str) -> dict[str, Any]:
    return {"event": "mark", "mark": {"name": name}}


def event(type_: str, **fields: Any) -> dict[str, Any]:
    return {"event": "parley", "parley": {"type": type_, **fields}}


def reply(turn: int, ms: int = 300, text: str = "Eight.", kind: str = "reply") -> list[dict[str, Any]]:
    """A released piece with its audio and a mark behind it."""
    piece = event("agent", turn=turn, piece=0, text=text, kind=kind, audio_ms=ms)
    return [piece, speech(ms), mark(f"{turn}-{kind}")]


@dataclass
class Agent:
    """One call's worth of answering. `answers`: for each question, the messages to send."""

    greeting: Sequence[dict[str, Any]] = ()
    answers: Sequence[Sequence[dict[str, Any]]] = ()
    hang_up_after: int | None = None
    """Close the socket after so many answers."""
    received: list[dict[str, Any]] = field(default_factory=list)
    _loud: bool = False
    _quiet: int = 0
    _answered: int = 0

    @property
    def marks(self) -> list[str]:
        return [message["mark"]["name"] for message in self.of("mark")]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["event"] == kind]

    async def serve(self, socket: ServerConnection) -> None:
        async for text in socket:
            message = json.loads(text)
            self.received.append(message)
            if message["event"] == "start":
                await self._send(socket, self.greeting)
            elif message["event"] == "media" and self._is_question_over(message):
                await self._send(socket, self.answers[self._answered])
                self._answered += 1
                if self._answered == self.hang_up_after:
                    return
            elif message["event"] == "stop":
                return

    def _is_question_over(self, message: dict[str, Any]) -> bool:
        frame = base64.b64decode(message["media"]["payload"])
        assert len(frame) == FRAME_BYTES
        self._quiet = 0 if loud(frame) else self._quiet + 1
        self._loud |= self._quiet == 0
        over = self._loud and self._quiet == PATIENCE and self._answered < len(self.answers)
        self._loud &= not over
        return over

    async def _send(self, socket: ServerConnection, messages: Sequence[dict[str, Any]]) -> None:
        stream_sid = self.of("start")[0]["streamSid"]
        for message in messages:
            await socket.send(json.dumps({"streamSid": stream_sid, **message}))


@asynccontextmanager
async def listening(agent: Agent, *, refuse: int | None = None) -> AsyncIterator[str]:
    """The URL of `agent` on loopback; with `refuse`, of a server that answers the handshake so."""

    def refusal(socket: ServerConnection, _: Any) -> Any:
        return socket.respond(refuse, "no\n") if refuse else None

    async with serve(agent.serve, "127.0.0.1", 0, compression=None, process_request=refusal) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        yield f"ws://127.0.0.1:{port}/media/token"
        server.close(close_connections=True)
        async with asyncio.timeout(5):
            await server.wait_closed()


@contextmanager
def serving(agent: Agent) -> Iterator[str]:
    """As `listening`, on an event loop in a thread of its own: for commands that run a loop themselves."""
    ready: Future[str] = Future()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def main() -> None:
        async with listening(agent) as url:
            ready.set_result(url)
            await over.wait()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(loop.run_until_complete, main())
        try:
            yield ready.result(5)
        finally:
            loop.call_soon_threadsafe(over.set)
            running.result(10)
            loop.close()

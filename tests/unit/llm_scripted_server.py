"""A chat server to test the client against: real HTTP on loopback, answers as scripted by the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Script:
    """What the server answers, and what it was asked.

    `pieces` are the reply's deltas. `status` other than 200 answers with an error instead; `error` is sent
    in the stream after the pieces; `breaks_off` ends the connection there; `hangs` sends nothing more.
    """

    pieces: Sequence[str] = ()
    status: int = 200
    error: dict[str, Any] | None = None
    breaks_off: bool = False
    hangs: bool = False
    usage: dict[str, Any] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)
    """The client closed its connection before the reply had ended."""


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


def _chunk(delta: str | None, finish_reason: str | None = None) -> bytes:
    choice = {
        "index": 0,
        "delta": {"content": delta} if delta is not None else {},
        "finish_reason": finish_reason,
    }
    return _event(
        {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    )


async def _answer(script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = next(
        int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length")
    )
    script.requests.append({"head": head, **json.loads(await reader.readexactly(length))})
    if script.status != 200:
        body = json.dumps({"error": {"message": "as scripted", "code": script.status}}).encode()
        writer.write(f"HTTP/1.1 {script.status} Scripted\r\ncontent-type: application/json\r\n".encode())
        writer.write(f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)
        return
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n")
    writer.write(b"\r\n" if not script.breaks_off else b"content-length: 100000\r\n\r\n")
    for piece in script.pieces:
        writer.write(_chunk(piece))
    if script.hangs:
        await writer.drain()
        await reader.read()
        script.hung_up.set()
        return
    if script.breaks_off:
        return
    if script.error is not None:
        writer.write(_event({"error": script.error}))
        return
    writer.write(_chunk(None, "stop"))
    if script.usage is not None:
        writer.write(
            _event(
                {
                    "id": "1",
                    "object": "chat.completion.chunk",
                    "created": 0,
                    "model": "m",
                    "choices": [],
                    "usage": script.usage,
                }
            )
        )
    writer.write(b"data: [DONE]\n\n")


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[str]:
    """The base URL of a server that follows the script for every request."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await _answer(script, reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            script.hung_up.set()
        finally:
            writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.close()

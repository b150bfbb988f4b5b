"""A prompt that is read ahead of time makes way for the reply that a caller waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

from engine.call.services import Deadlines, Services
from engine.call.spec import CallSpec
from engine.call.work import Work
from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.providers.base import ChatDelta, ChatRequest, Message, Purpose
from models import AgentConfig
from tests.unit.call_bench import MemoryJournal, Models

READ = tuple(
    ChatRequest((Message("user", word),), 1, cache_key="c1", purpose=Purpose.BEGINNING) for word in "abc"
)


class Reader(Models):
    """Hangs at the second prompt that it is to read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[ChatRequest] = []
        self.hangs, self.closed = asyncio.Event(), asyncio.Event()

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        if request.purpose is Purpose.REPLY:
            yield ChatDelta("Yes.", "stop")
            return
        self.read.append(request)
        try:
            if len(self.read) == 2:
                self.hangs.set()
                await asyncio.Event().wait()
            yield ChatDelta("", "length")
        finally:
            if len(self.read) == 2:
                self.closed.set()


async def test_reading_ahead_ends_when_a_reply_is_asked_for() -> None:
    reader, events = Reader(), asyncio.Queue[ev.Event]()
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        tasks.add(task)
        return task

    spec = CallSpec("c1", "acme", AgentConfig(id="a", company_id="acme"))
    services = Services(reader, reader, reader, reader, reader, MemoryJournal())
    work = Work(spec, services, Deadlines(), spawn, events.put_nowait)
    work.read_ahead(READ)
    await reader.hangs.wait()
    work.start(cmd.Generate(1, ChatRequest((Message("user", "When?"),), cache_key="c1")), b"")
    assert await events.get() == ev.Generated(1, ChatDelta("Yes.", "stop"))
    async with asyncio.timeout(5):
        await reader.closed.wait()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert reader.read == list(READ[:2])

"""What the simulators of all language models share: a scripted reply, streamed word by word.

A word is a token here. A simulator does with a request what the vendor would: it goes on with a reply that
was begun, calls a tool, stops at a stop sequence and at the limit, thinks unless it is told not to.
"""

from __future__ import annotations

import asyncio
import json
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from engine.providers.llm.vendor import GO_ON
from tests.vendors.simulator import Dead, VendorSimulator

HELD_AFTER = 2
"""Words that are sent although the rest is held back, or before a stream breaks off."""
THOUGHTS = 40
"""Tokens that a model that thinks spends on it before it answers, at the least that it can be told."""


class Refusal(Exception):
    """The vendor would refuse the request."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was right, in the same words for all vendors. `messages`: role and text of each."""

    model: str
    system: str
    messages: tuple[tuple[str, str], ...]
    max_tokens: int | None = None
    temperature: float | None = None
    stop: tuple[str, ...] = ()
    tools: tuple[tuple[str, str, Any], ...] = ()
    """Name, description and schema of each."""
    thoughts: int = 0
    """Tokens that the model will think before it answers, as it was asked."""
    _: KW_ONLY
    shows_thoughts: bool = False
    caches: bool = True
    """Whether the system's text is kept for the next request."""

    @property
    def begun(self) -> str:
        """The reply so far, if it is to go on."""
        before = self.messages[:-1] if self.in_words else self.messages
        role, text = before[-1] if before else ("", "")
        return text if role == "assistant" else ""

    @property
    def in_words(self) -> bool:
        return self.messages[-1:] == (("user", GO_ON),)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a stream will hold. `finish` in OpenAI's words; counts as the vendor reports them."""

    asked: Asked
    words: tuple[str, ...]
    finish: str
    tool: tuple[str, dict[str, Any]] | None
    prompt_tokens: int
    cached_tokens: int

    @property
    def completion_tokens(self) -> int:
        return self.asked.thoughts + len(self.words)


class ChatSimulator(VendorSimulator):
    """Set what it answers at any time; it holds from the next request on.

    `reply`: all that it has to say. `tool`: a tool to call after it, if it is among those of the request.
    `goes_on`: how it ends what another began. `repeats`: asked to go on, it says the beginning again.
    `filtered`: its reply is ended by a filter.
    `dies`: the connection breaks off in mid-reply; `breaks_with`: an error of that status comes there;
    `odd`: an event with this data comes there, and then the rest; `unfinished`: the reply's end is missing.
    `rest`: while it is not set, only the first words are sent.
    """

    event_line: bytes = b""
    """What an odd event begins with; for a vendor that names its events, the name of those with text."""
    malformed: ClassVar[bytes] = b'data: {"half": \n\n'
    models: ClassVar[frozenset[str]]

    def __init__(self, reply: str = "We are open from eight in the morning until six.") -> None:
        super().__init__()
        self.reply = reply
        self.tool: tuple[str, dict[str, Any]] | None = None
        self.goes_on = ""
        self.repeats = False
        self.filtered = False
        self.dies = False
        self.breaks_with: int | None = None
        self.odd = b""
        self.unfinished = False
        self.rest = asyncio.Event()
        self.rest.set()
        self.asked: list[Asked] = []
        self._systems: set[str] = set()

    @abstractmethod
    def understand(self, request: Request, body: Any) -> Asked:
        """Check a request as the vendor does; raises Refusal."""

    @abstractmethod
    def opening(self, answer: Answer) -> Iterator[bytes]: ...
    @abstractmethod
    def word(self, answer: Answer, word: str) -> bytes: ...
    @abstractmethod
    def closing(self, answer: Answer) -> Iterator[bytes]:
        """The tool call, if there is one, and the end."""

    @abstractmethod
    def broken(self, status: int, message: str) -> bytes:
        """An error in mid-stream."""

    async def answer(self, request: Request) -> Response:
        try:
            asked = self.understand(request, json.loads(await request.body()))
        except Refusal as refusal:
            return self.error(refusal.status, str(refusal))
        cached = self._cached(asked)
        self.asked.append(asked)
        return _Stream(self, self._answer(asked, cached))

    def _cached(self, asked: Asked) -> int:
        known = asked.system in self._systems
        if asked.caches and asked.system:
            self._systems.add(asked.system)
        return len(asked.system.split()) if known else 0

    def _answer(self, asked: Asked, cached: int) -> Answer:
        text, finish = self.reply, "stop"
        if asked.begun and not self.repeats:
            assert self.goes_on or text.startswith(asked.begun), "the simulator has nothing to go on with"
            rest = self.goes_on or text[len(asked.begun) :]
            text = rest.lstrip() if asked.in_words else rest
        ends = [at for stop in asked.stop if (at := text.find(stop)) >= 0]
        words = re.findall(r"\s*\S+|\s+$", text[: min(ends, default=len(text))])
        left = len(words) if asked.max_tokens is None else max(0, asked.max_tokens - asked.thoughts)
        if left < len(words):
            words, finish = words[:left], "length"
        tool = self.tool if self.tool and self.tool[0] in {name for name, _, _ in asked.tools} else None
        if tool is not None:
            finish = "tool_calls"
        if self.filtered:
            finish = "content_filter"
        prompt = len(asked.system.split()) + sum(len(text.split()) for _, text in asked.messages)
        return Answer(asked, tuple(words), finish, tool, prompt, cached)


class _Stream(Response):
    """Server-sent events. Each is sent in two pieces that meet anywhere, as on a network."""

    def __init__(self, vendor: ChatSimulator, answer: Answer) -> None:
        super().__init__()
        self._vendor = vendor
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        vendor, answer = self._vendor, self._answer
        await self._send(send, vendor.opening(answer))
        first = [vendor.word(answer, word) for word in answer.words[:HELD_AFTER]]
        await self._send(send, first)
        if vendor.dies:
            raise Dead
        if vendor.breaks_with is not None:
            await self._send(send, [vendor.broken(vendor.breaks_with, "simulated in mid-stream")])
        elif await self._may_go_on(receive):
            rest = [vendor.word(answer, word) for word in answer.words[HELD_AFTER:]]
            odd = [vendor.event_line + b"data: " + vendor.odd + b"\n\n"] if vendor.odd else []
            await self._send(send, [*odd, *rest])
            await self._send(send, () if vendor.unfinished else vendor.closing(answer))
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send(self, send: Send, events: Iterator[bytes] | Sequence[bytes]) -> None:
        for event in events:
            half = len(event) // 2
            for piece in (event[:half], event[half:]):
                await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _may_go_on(self, receive: Receive) -> bool:
        """Wait until the rest may be sent; False if the client leaves before."""
        if self._vendor.rest.is_set():
            return True
        allowed = asyncio.ensure_future(self._vendor.rest.wait())
        gone = asyncio.ensure_future(self._vendor._until_gone(receive))
        await asyncio.wait((allowed, gone), return_when=asyncio.FIRST_COMPLETED)
        for task in (allowed, gone):
            task.cancel()
        return not gone.done() or gone.cancelled()


def event(data: Any, name: str = "") -> bytes:
    """A server-sent event with JSON in it, as UTF-8."""
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def check_fields(given: Any, allowed: frozenset[str], refuse: str) -> None:
    """`refuse`: the vendor's words for an unknown field, with `{}` for its name."""
    for name in given:
        if name not in allowed:
            raise Refusal(400, refuse.format(name))

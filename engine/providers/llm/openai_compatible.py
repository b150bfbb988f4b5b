"""Any OpenAI-compatible chat server as a LanguageModel: llama.cpp, vLLM, `ray.serve.llm`, a vendor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import httpx2
import openai
from openai.types import CompletionUsage
from openai.types.chat import ChatCompletionChunk

from engine.errors import ProviderUnavailable
from engine.providers.base import ChatDelta, ChatRequest, Purpose
from engine.providers.llm.joining import ReplyText
from engine.providers.llm.openings import Openings
from engine.providers.llm.slots import SlotTable
from engine.providers.llm.tool_calls import ToolCallAssembler
from engine.providers.llm.vendor import GO_ON
from engine.providers.openai_sdk import provider_error

Dialect = Literal["llama.cpp", "vllm", "openai"]


@dataclass(frozen=True, slots=True)
class Manner:
    """How a model wants to be asked, where models of the same API differ.

    `limit`: the field that bounds a reply. `thinking_tokens`: added to the bound, where thinking counts
    towards it and cannot be switched off. `temperature`, `stop`: whether it takes them; stop sequences that
    it does not take are looked for here. `fields`: what else its requests have.
    """

    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    thinking_tokens: int = 0
    temperature: bool = True
    stop: bool = True
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server and how to speak to it. Times in seconds.

    `dialect`: how it is made to go on with a reply that was begun (see `ChatRequest.continue_from`).
    `slots`: llama.cpp's number of slots; 0 lets the server choose. `openings`: its `slot_save_path`, where
    what agents' prompts begin with is kept; None: nowhere. `reply_lead`: what stands between its
    chat template's generation prompt and a reply's first word, such as the space after "Agent:".
    `silence_s`: the longest wait for the next bytes; the deadline of a whole request is the caller's.
    """

    base_url: str
    model: str
    api_key: str = ""
    dialect: Dialect = "openai"
    slots: int = 0
    openings: Path | None = None
    reply_lead: str = ""
    seed: int | None = 0
    connect_s: float = 2.0
    silence_s: float = 20.0
    connections: int = 100
    name: str = ""
    """What errors and timelines call it; the model's name when empty."""
    manner: Manner = field(default_factory=Manner)


class OpenAICompatible:
    """A LanguageModel over HTTP. One instance serves any number of requests at once.

    Text comes without leading space, except where it goes on with `continue_from`: then
    `continue_from.rstrip()` and the text make up the reply. Cancelling a request, or closing its generator,
    closes the HTTP stream, upon which the server stops. Close the generator that you leave early.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._name = endpoint.name or endpoint.model
        self._slots = SlotTable(endpoint.slots)
        self._reading: set[asyncio.Task[ChatDelta]] = set()
        """Openings: read to the end also where the call that asked for it has ended meanwhile."""
        self._openings: Openings | None = None
        if endpoint.openings is not None:
            self._openings = Openings(endpoint.base_url, endpoint.api_key, endpoint.openings)
        # llama.cpp's server closes connections that the client still believes in: no reuse.
        keep_alive = 0 if endpoint.dialect == "llama.cpp" else endpoint.connections
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.api_key or "none",
            max_retries=0,
            timeout=httpx2.Timeout(endpoint.silence_s, connect=endpoint.connect_s),
            http_client=openai.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_keepalive_connections=keep_alive)
            ),
        )

    async def close(self) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)
        await self._client.close()
        if self._openings is not None:
            await self._openings.close()

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """Stream a reply; the last delta has `finish_reason`. Raises ProviderErrors."""
        slot = self._slots.take(request.cache_key) if self._endpoint.slots else None
        if request.purpose is Purpose.OPENING and slot is not None and self._openings is not None:
            task = asyncio.create_task(self._take_opening(self._openings, request, slot))
            self._reading.add(task)
            task.add_done_callback(self._read)
            yield await self._outcome(task)
            return
        try:
            with self._mapped_errors():
                async with aclosing(self._stream(request, slot)) as deltas:
                    async for delta in deltas:
                        yield delta
        finally:
            if slot is not None:
                self._slots.give_back(slot)

    async def _take_opening(self, openings: Openings, request: ChatRequest, slot: int) -> ChatDelta:
        """Bring back what the model made of an opening before, else have it read; gives the slot back."""
        last = ChatDelta("", "stop", served_by=self._name)
        try:
            with self._mapped_errors():
                async with openings.lock(request.messages):
                    # A call that has asked for more meanwhile has read the opening itself.
                    if not self._slots.is_fresh(slot) or await openings.restore(slot, request.messages):
                        return last
                    async for delta in self._stream(request, slot):
                        last = delta
                    if self._slots.is_fresh(slot):
                        await openings.save(slot, request.messages)
            return last
        finally:
            self._slots.give_back(slot)

    async def _outcome(self, task: asyncio.Task[ChatDelta]) -> ChatDelta:
        """Of a task that goes on when nobody waits for it any more."""
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not task.cancelled():
                raise
            raise ProviderUnavailable(f"{self._name} is shutting down", provider=self._name) from None

    def _read(self, task: asyncio.Task[ChatDelta]) -> None:
        self._reading.discard(task)
        if not task.cancelled():
            task.exception()  # read here: whoever asked may have gone

    async def _stream(self, request: ChatRequest, slot: int | None) -> AsyncGenerator[ChatDelta, None]:
        manner = self._endpoint.manner
        begun = request.continue_from.rstrip()
        in_words = self._endpoint.dialect == "openai"
        reply = ReplyText(begun, in_words=in_words, stop=() if manner.stop else request.stop)
        finish_reason: str | None = None
        usage: CompletionUsage | None = None
        tools = ToolCallAssembler()
        stream = await self._client.chat.completions.create(**self._body(request, begun, slot))
        try:
            async for chunk in stream:
                try:
                    piece, reason = _content(chunk)
                    tools.push(chunk)
                    usage = chunk.usage or usage
                except (AttributeError, TypeError) as error:  # the SDK does not check what it parses
                    raise ProviderUnavailable(
                        f"{self._name} sent what cannot be read", provider=self._name
                    ) from error
                finish_reason = reason or finish_reason
                if text := reply.push(piece):
                    yield ChatDelta(text)
                if reply.stopped:
                    finish_reason = "stop"
                    break
        finally:
            await stream.close()
        if finish_reason is None:
            raise ProviderUnavailable(f"{self._name} stopped in the middle of a reply", provider=self._name)
        last = _last(reply.end(), finish_reason, usage)
        yield replace(last, served_by=self._name, tool_calls=tools.whole())

    def _body(self, request: ChatRequest, begun: str, slot: int | None) -> dict[str, Any]:
        manner = self._endpoint.manner
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        # As they are: the SDK would rebuild each from its types, 3 ms in a conversation of eight turns.
        extra: dict[str, Any] = {"messages": messages, **manner.fields}
        if begun:
            lead = self._endpoint.reply_lead if self._endpoint.dialect != "openai" else ""
            messages.append({"role": "assistant", "content": lead + begun})
            match self._endpoint.dialect:
                case "openai":
                    messages.append({"role": "user", "content": GO_ON})
                case "vllm":
                    extra |= {"add_generation_prompt": False, "continue_final_message": True}
                case "llama.cpp":
                    pass  # a last message of the assistant's is prefilled
        if slot is not None:
            extra |= {"id_slot": slot, "cache_prompt": True}
        body: dict[str, Any] = {
            "model": self._endpoint.model,
            "messages": (),
            manner.limit: request.max_tokens + manner.thinking_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "extra_body": extra,
        }
        if manner.temperature:
            body["temperature"] = request.temperature
        if request.tools:
            body["tools"] = [{"type": "function", "function": asdict(tool)} for tool in request.tools]
        if request.stop and manner.stop:
            body["stop"] = list(request.stop)
        if self._endpoint.seed is not None:
            body["seed"] = self._endpoint.seed
        return body

    @contextmanager
    def _mapped_errors(self) -> Iterator[None]:
        try:
            yield
        except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:  # no JSON, no UTF-8
            raise provider_error(error, self._name) from error


def _content(chunk: ChatCompletionChunk) -> tuple[str, str | None]:
    if not chunk.choices:
        return "", None
    choice = chunk.choices[0]
    return choice.delta.content or "", choice.finish_reason


def _last(text: str, finish_reason: str, usage: CompletionUsage | None) -> ChatDelta:
    if usage is None:
        return ChatDelta(text, finish_reason)
    details = usage.prompt_tokens_details
    return ChatDelta(
        text,
        finish_reason,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=details.cached_tokens if details is not None else None,
        completion_tokens=usage.completion_tokens,
    )

"""Language models by Anthropic: the Messages API, streamed.

Sources (read 2026-11-28): platform.claude.com/docs/en, "Streaming messages", "Errors", "Versions", "What's
new in Claude Haiku 5.5" and "Troubleshooting thinking"; the docstrings of the SDK.

API version 2026-10-21, which the SDK speaks, has no temperature: that of a request is left out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, ClassVar

import anthropic
import httpx2
from anthropic.types import (
    InputJSONDelta,
    Message,
    MessageDeltaUsage,
    RawContentBlockDeltaEvent,
    RawContentBlockStartEvent,
    RawMessageDeltaEvent,
    RawMessageStartEvent,
    RawMessageStreamEvent,
    TextBlock,
    TextDelta,
    ToolUseBlock,
    Usage,
)
from anthropic.types.raw_message_delta_event import Delta

from engine.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from engine.providers import base
from engine.providers.base import ChatDelta, ChatRequest, Tool
from engine.providers.llm.joining import ReplyText
from engine.providers.llm.tool_calls import ToolCallAssembler
from engine.providers.llm.turns import system_and_turns
from engine.providers.llm.vendor import GO_ON, THINKING_TOKENS, VendorLlm
from engine.providers.vendor import VendorOptions, error_by_status, without_quotes

_PREFILLS = re.compile(r"claude-[a-z]+-4-5\b")
"""Models that go on with a last message of the assistant's; those since 4.6 refuse one."""
_ALWAYS_THINKS = re.compile(r"claude-(fable|mythos|opus-5-5)")
_THINKS_BETWEEN_TOOLS = re.compile(r"claude-sonnet-5-5")

_FINISH = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
"""OpenAI's words for why a reply ended; "stop" for all others."""

_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""The HTTP status that an error would have had, had the stream not begun with 200 already."""


class AnthropicLlm(VendorLlm):
    name: ClassVar[str] = "anthropic"
    default_base_url: ClassVar[str] = "https://api.anthropic.com"
    default_model: ClassVar[str] = "claude-haiku-5-5"

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._client = anthropic.AsyncAnthropic(
            api_key=options.api_key,
            base_url=self.base_url,
            max_retries=0,
            timeout=httpx2.Timeout(options.silence_s, connect=options.connect_s),
            http_client=anthropic.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_connections=options.connections)
            ),
        )
        self._prefills = _PREFILLS.match(self.model) is not None

    async def close(self) -> None:
        await self._client.close()

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        begun = request.continue_from.rstrip()
        blank = [sequence for sequence in request.stop if not sequence.strip()]  # refused by the API
        text = ReplyText(begun, in_words=not self._prefills, stop=blank)
        reply = _Reply()
        async with aclosing(self._events(self._body(request, begun))) as events:
            async for event in events:
                if said := text.push(reply.take(event)):
                    yield ChatDelta(said)
                if text.stopped:
                    break
        if reply.stop_reason is None and not text.stopped:
            raise ProviderUnavailable(
                f"{self.served_by} stopped in the middle of a reply", provider=self.served_by
            )
        yield ChatDelta(
            text.end(),
            "stop" if text.stopped else _FINISH.get(reply.stop_reason or "", "stop"),
            reply.prompt_tokens,
            reply.cached_tokens,
            reply.completion_tokens,
            self.served_by,
            reply.tools.whole(),
        )

    async def _events(self, body: dict[str, Any]) -> AsyncGenerator[RawMessageStreamEvent, None]:
        try:
            async with await self._client.messages.create(**body) as stream:
                async for event in stream:
                    yield event
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError) as error:  # no JSON, no UTF-8
            raise _provider_error(error, self.served_by) from error

    def _body(self, request: ChatRequest, begun: str) -> dict[str, Any]:
        going_on = [base.Message("assistant", begun)] if begun else []
        if begun and not self._prefills:
            going_on.append(base.Message("user", GO_ON))
        system, turns = system_and_turns((*request.messages, *going_on))
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": request.max_tokens,
            "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
            "stream": True,
        }
        if system:
            cached = {"cache_control": {"type": "ephemeral"}}
            body["system"] = [{"type": "text", "text": system, **cached}]
        if stop := [sequence for sequence in request.stop if sequence.strip()]:
            body["stop_sequences"] = stop
        if request.tools:
            body["tools"] = [_tool(tool) for tool in request.tools]
        self._keep_from_thinking(body)
        return body

    def _keep_from_thinking(self, body: dict[str, Any]) -> None:
        """A caller waits: no thinking, or as little as the model can be told."""
        if _ALWAYS_THINKS.match(self.model):
            body["output_config"] = {"effort": "low"}
            body["max_tokens"] += THINKING_TOKENS
        elif _THINKS_BETWEEN_TOOLS.match(self.model):
            body["thinking"] = {"type": "between_tools"}
        else:
            body["thinking"] = {"type": "disabled"}


def _tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": dict(tool.parameters)}


@dataclass(slots=True)
class _Reply:
    """What the events of a stream add up to, but for the text. Events of an unknown form are passed over."""

    stop_reason: str | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    tools: ToolCallAssembler = field(default_factory=ToolCallAssembler)

    def take(self, event: RawMessageStreamEvent) -> str:
        """Count an event in; gives the text that it brings."""
        match event:
            case RawMessageStartEvent(message=Message(usage=Usage() as usage)):
                self._count_prompt(usage)
            case RawContentBlockStartEvent(content_block=TextBlock(type="text", text=str(text))):
                return text
            case RawContentBlockDeltaEvent(delta=TextDelta(type="text_delta", text=str(text))):
                return text
            case RawContentBlockStartEvent(
                index=int(index), content_block=ToolUseBlock(id=str(id), name=str(name))
            ):
                self.tools.add(index, id, name)
            case RawContentBlockDeltaEvent(
                index=int(index), delta=InputJSONDelta(partial_json=str(arguments))
            ):
                self.tools.add(index, arguments=arguments)
            case RawMessageDeltaEvent(delta=Delta(stop_reason=str(reason)), usage=counts):
                self.stop_reason = reason
                if isinstance(counts, MessageDeltaUsage):
                    self.completion_tokens = counts.output_tokens
        return ""

    def _count_prompt(self, usage: Usage) -> None:
        """`input_tokens` are those that were neither read from the cache nor written to it."""
        self.cached_tokens = usage.cache_read_input_tokens
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        self.prompt_tokens = (usage.input_tokens or 0) + cached


def _provider_error(error: Exception, name: str) -> ProviderError:
    """The SDK's error as one of ours, split by whether another provider may be asked."""
    match error:
        case anthropic.APITimeoutError() | httpx2.TimeoutException():
            return ProviderTimeout(f"{name} sent nothing in time", provider=name)
        case anthropic.APIStatusError(status_code=200):
            return error_by_status(name, _STATUS.get(error.type or "", 500), _reason(error))
        case anthropic.APIStatusError():
            return error_by_status(name, error.status_code, _reason(error), error.response.headers)
        case anthropic.APIConnectionError():
            return ProviderUnavailable(f"{name} cannot be reached: {error.__cause__ or error}", provider=name)
        case _:
            return ProviderUnavailable(f"{name} broke off: {without_quotes(str(error))}", provider=name)


def _reason(error: anthropic.APIStatusError) -> str:
    return " ".join(str(error.api_message or "").split())

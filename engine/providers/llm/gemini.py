"""Language models by Google: the Gemini API's `streamGenerateContent`.

Sources (read 2026-11-28): ai.google.dev/gemini-api/docs, "API reference", "Thinking", "Latest model" and
"API versions".

Since Gemini 3.5 Flash-Lite models refuse a last message of their own, so none is prefilled, and they ignore
a temperature, which older ones heed.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx2
from google.genai import types
from pydantic import ValidationError

from engine.errors import ProviderRefusesUs, ProviderRejected, ProviderUnavailable
from engine.providers.base import ChatDelta, ChatRequest, Message, Tool, ToolCall
from engine.providers.genai import FAILURES, GenAiHttp, provider_error, sdk
from engine.providers.llm.joining import ReplyText
from engine.providers.llm.turns import system_and_turns
from engine.providers.llm.vendor import GO_ON, THINKING_TOKENS, VendorLlm
from engine.providers.vendor import VendorOptions, without_quotes

API_VERSION = "v1"

_THINKS_MINIMALLY = re.compile(r".*flash-lite|gemini-3(\.[0-6])?-flash")
"""Others refuse that level; the least that all know is "low"."""

_FILTERED = frozenset(
    {
        types.FinishReason.SAFETY,
        types.FinishReason.RECITATION,
        types.FinishReason.LANGUAGE,
        types.FinishReason.BLOCKLIST,
        types.FinishReason.PROHIBITED_CONTENT,
        types.FinishReason.SPII,
        types.FinishReason.ESCALATION,
        types.FinishReason.MODEL_ARMOR,
    }
)
_CUT = frozenset({types.FinishReason.MAX_TOKENS, types.FinishReason.CONTINUATION})
_BROKEN = frozenset(
    {
        types.FinishReason.MALFORMED_FUNCTION_CALL,
        types.FinishReason.MALFORMED_RESPONSE,
        types.FinishReason.UNEXPECTED_TOOL_CALL,
        types.FinishReason.TOO_MANY_TOOL_CALLS,
    }
)

_opened: ContextVar[list[httpx2.Response]] = ContextVar("_opened")


class _Http(GenAiHttp):
    """The SDK gives no handle on the answer that it reads."""

    async def send(self, *args: Any, **kwargs: Any) -> httpx2.Response:
        response = await super().send(*args, **kwargs)
        _opened.get().append(response)
        return response


class GeminiLlm(VendorLlm):
    name: ClassVar[str] = "gemini"
    default_base_url: ClassVar[str] = "https://generativelanguage.googleapis.com"
    default_model: ClassVar[str] = "gemini-3.5-flash-lite"

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._http = _Http(self)
        self._client = sdk(self, self._http, API_VERSION)

    async def close(self) -> None:
        self._client.close()
        await self._http.aclose()

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        begun = request.continue_from.rstrip()
        text = ReplyText(begun, in_words=True)
        reply = _Reply()
        async with aclosing(self._chunks(request, begun)) as chunks:
            async for chunk in chunks:
                if said := text.push(reply.take(chunk)):
                    yield ChatDelta(said)
        yield ChatDelta(
            text.end(),
            self._finish(reply),
            reply.prompt_tokens,
            reply.cached_tokens,
            reply.completion_tokens,
            self.served_by,
            tuple(reply.calls),
        )

    async def _chunks(
        self, request: ChatRequest, begun: str
    ) -> AsyncGenerator[types.GenerateContentResponse, None]:
        """The answer as it comes. Leaving closes its connection, which the SDK leaves to the collector."""
        stream = await self._ask(request, begun)
        opened: list[httpx2.Response] = []
        try:
            while True:
                token = _opened.set(opened)
                try:
                    chunk = await anext(stream, None)
                except FAILURES as error:
                    if isinstance(error, ValueError) and not opened:  # the SDK checks a request too
                        raise ProviderRejected(
                            f"{self.served_by} cannot be asked: {_reason(error)}", provider=self.served_by
                        ) from error
                    raise provider_error(error, self.served_by) from error
                finally:
                    _opened.reset(token)
                if chunk is None:
                    return
                yield chunk
        finally:
            for response in opened:
                await response.aclose()

    async def _ask(
        self, request: ChatRequest, begun: str
    ) -> AsyncGenerator[types.GenerateContentResponse, None]:
        """A stream that sends the request once it is read from."""
        going_on = (Message("assistant", begun), Message("user", GO_ON)) if begun else ()
        system, turns = system_and_turns((*request.messages, *going_on))
        thinking, thinking_tokens = self._least_thinking()
        config = types.GenerateContentConfig(
            system_instruction=system or None,
            max_output_tokens=request.max_tokens + thinking_tokens,
            temperature=request.temperature,
            stop_sequences=list(request.stop) or None,
            tools=[types.Tool(function_declarations=[_declaration(tool) for tool in request.tools])]
            if request.tools
            else None,
            thinking_config=thinking,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            automatic_continuation=False,
        )
        contents: list[Any] = [
            types.Content(
                role="model" if turn.role == "assistant" else "user", parts=[types.Part(text=turn.content)]
            )
            for turn in turns
        ]
        stream: Any = await self._client.aio.models.generate_content_stream(
            model=self.model, contents=contents, config=config
        )
        return stream  # type: ignore[no-any-return]

    def _least_thinking(self) -> tuple[types.ThinkingConfig, int]:
        """A caller waits: as little thinking as the model can be told, and the tokens to allow for it."""
        if self.model.startswith("gemini-2."):
            return types.ThinkingConfig(thinking_budget=0), 0
        if _THINKS_MINIMALLY.match(self.model):
            return types.ThinkingConfig(thinking_level=types.ThinkingLevel.MINIMAL), 0
        return types.ThinkingConfig(thinking_level=types.ThinkingLevel.LOW), THINKING_TOKENS

    def _finish(self, reply: _Reply) -> str:
        """Why the reply ended, in OpenAI's words."""
        name = self.served_by
        match reply.finish_reason:
            case None if reply.blocked:
                return "content_filter"
            case None:
                raise ProviderUnavailable(f"{name} stopped in the middle of a reply", provider=name)
            case types.FinishReason.PUP_LIMITED_DISABLED:
                raise ProviderRefusesUs(f"{name} has limited or disabled the account", provider=name)
            case reason if reason in _BROKEN:
                raise ProviderUnavailable(f"{name} broke off: {reason.value}", provider=name)
            case reason if reason in _FILTERED:
                return "content_filter"
            case reason if reason in _CUT:
                return "length"
            case _:
                return "tool_calls" if reply.calls else "stop"


def _reason(error: ValueError) -> str:
    """What the SDK has against a request, without what that says."""
    if isinstance(error, ValidationError):
        found = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in found)
    return without_quotes(str(error))


def _declaration(tool: Tool) -> types.FunctionDeclaration:
    return types.FunctionDeclaration(
        name=tool.name, description=tool.description, parameters_json_schema=dict(tool.parameters)
    )


@dataclass(slots=True)
class _Reply:
    """What the chunks of a stream add up to, but for the text."""

    finish_reason: types.FinishReason | None = None
    blocked: bool = False
    """The prompt was; then there is no reply at all."""
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    calls: list[ToolCall] = field(default_factory=list)

    def take(self, chunk: types.GenerateContentResponse) -> str:
        """Count a chunk in; gives the text that it brings."""
        if chunk.usage_metadata is not None:
            self._count(chunk.usage_metadata)
        if chunk.prompt_feedback is not None and chunk.prompt_feedback.block_reason is not None:
            self.blocked = True
        said = []
        for candidate in (chunk.candidates or ())[:1]:
            self.finish_reason = candidate.finish_reason or self.finish_reason
            for part in (candidate.content.parts if candidate.content else None) or ():
                if part.function_call is not None:
                    self.calls.append(self._call(part.function_call))
                elif part.text and not part.thought:
                    said.append(part.text)
        return "".join(said)

    def _call(self, call: types.FunctionCall) -> ToolCall:
        arguments = json.dumps(call.args or {}, ensure_ascii=False)
        return ToolCall(call.id or f"call_{len(self.calls)}", call.name or "", arguments)

    def _count(self, usage: types.GenerateContentResponseUsageMetadata) -> None:
        """The counts so far; thoughts are part of what was generated, as with other vendors."""
        self.prompt_tokens = usage.prompt_token_count
        self.cached_tokens = usage.cached_content_token_count
        self.completion_tokens = (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0)

"""Anthropic's Messages API of version 2026-10-21, streamed.

Sources: platform.claude.com/docs/en, "build-with-claude/streaming", "api/errors", "api/versioning",
"models/haiku-5-5/whats-new-haiku-5-5", "build-with-claude/thinking-troubleshooting"; trailing white space:
github.com/tailcallhq/forgecode/issues/1872; stop sequences of white space:
github.com/BerriAI/litellm/issues/3286 (all read 2026-11-28).

Documented request:  POST /v1/messages, `Authorization: Bearer KEY` or `x-api-key: KEY`,
                     `anthropic-version: 2026-10-21`,
                     {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "Hello"}],
                      "max_tokens": 256, "stream": true}
Documented response: event: content_block_delta
                     data: {"type": "content_block_delta", "index": 0,
                            "delta": {"type": "text_delta", "text": "Hello"}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from tests.vendors.chat import THOUGHTS, Answer, Asked, ChatSimulator, Refusal, check_fields, event

_VERSIONS = ("2023-06-01", "2026-10-21")
_EXTRA = "{}: Extra inputs are not permitted"
_FINISH = {"length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}


class AnthropicMessages(ChatSimulator):
    event_line = b"event: content_block_delta\n"
    malformed: ClassVar[bytes] = event_line + ChatSimulator.malformed
    models: ClassVar[frozenset[str]] = frozenset(
        {"claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5-5", "claude-haiku-4-5"}
    )
    prefills: ClassVar[frozenset[str]] = frozenset({"claude-haiku-4-5"})
    fields: ClassVar[frozenset[str]] = frozenset(
        {"model", "messages", "max_tokens", "stream", "system", "stop_sequences", "tools", "tool_choice"}
        | {"thinking", "output_config", "metadata", "cache_control"}
    )

    def routes(self) -> Iterator[BaseRoute]:
        yield Route("/v1/messages", self.answer, methods=["POST"])

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        kind = _TYPES.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}

    def understand(self, request: Request, body: Any) -> Asked:
        headers = request.headers
        if headers.get("x-api-key", headers.get("authorization", "").removeprefix("Bearer ")) != self.key:
            raise Refusal(401, "invalid x-api-key")
        if headers.get("anthropic-version") not in _VERSIONS:
            raise Refusal(400, "anthropic-version: header is required")
        check_fields(body, self.fields, _EXTRA)
        for field in ("model", "messages", "max_tokens"):
            if field not in body:
                raise Refusal(400, f"{field}: Field required")
        model = body["model"]
        if model not in self.models:
            raise Refusal(404, f"model: {model}")
        if body.get("stream") is not True:
            raise Refusal(400, "This simulator streams.")
        stop = tuple(body.get("stop_sequences", ()))
        if not all(sequence.strip() for sequence in stop):
            raise Refusal(400, "stop_sequences: each stop sequence must contain non-whitespace")
        system, caches = self._system(body.get("system", ""))
        return Asked(
            model,
            system,
            self._messages(model, body["messages"]),
            body["max_tokens"],
            None,
            stop,
            tuple(self._tool(tool) for tool in body.get("tools", ())),
            self._thoughts(model, body.get("thinking")),
            caches=caches,
        )

    def _system(self, system: Any) -> tuple[str, bool]:
        if isinstance(system, str):
            return system, False
        for block in system:
            check_fields(block, frozenset({"type", "text", "cache_control"}), "system.0." + _EXTRA)
            if block["type"] != "text" or not block["text"].strip():
                raise Refusal(400, "system: text content blocks must be non-empty")
        return "\n\n".join(block["text"] for block in system), "cache_control" in system[-1]

    def _messages(self, model: str, messages: Any) -> tuple[tuple[str, str], ...]:
        if not messages:
            raise Refusal(400, "messages: at least one message is required")
        for at, message in enumerate(messages):
            check_fields(message, frozenset({"role", "content"}), f"messages.{at}." + _EXTRA)
            if message["role"] not in ("user", "assistant"):
                raise Refusal(400, f"messages.{at}: unexpected role {message['role']!r}")
            if not message["content"].strip():
                raise Refusal(400, f"messages.{at}: text content blocks must be non-empty")
        last = messages[-1]
        if last["role"] == "assistant" and model not in self.prefills:
            raise Refusal(
                400,
                "This model does not support assistant message prefill. The conversation must end with a "
                "user message.",
            )
        if last["role"] == "assistant" and last["content"] != last["content"].rstrip():
            raise Refusal(400, "messages: final assistant content cannot end with trailing whitespace")
        return tuple((message["role"], message["content"]) for message in messages)

    def _tool(self, tool: Any) -> tuple[str, str, Any]:
        check_fields(tool, frozenset({"name", "description", "input_schema"}), "tools.0.custom." + _EXTRA)
        if tool["input_schema"].get("type") != "object":
            raise Refusal(400, "tools.0.custom.input_schema.type: Field required")
        return tool["name"], tool["description"], tool["input_schema"]

    def _thoughts(self, model: str, thinking: Any) -> int:
        """What it will think. All but the old model do, unless they are told not to; one always does."""
        off = "between_tools" if model == "claude-sonnet-5-5" else "disabled"
        if thinking is None:
            return 0 if model == "claude-haiku-4-5" else THOUGHTS
        if model == "claude-opus-5-5" or thinking != {"type": off}:
            raise Refusal(400, f'"thinking.type.{thinking["type"]}" is not supported for this model.')
        return 0

    def opening(self, answer: Answer) -> Iterator[bytes]:
        asked, cached = answer.asked, answer.cached_tokens
        written = len(asked.system.split()) if asked.caches and not cached else 0
        usage = {
            "input_tokens": answer.prompt_tokens - cached - written,
            "cache_creation_input_tokens": written,
            "cache_read_input_tokens": cached,
            "output_tokens": 1,
        }
        message: dict[str, Any] = {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": asked.model,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        yield _event("message_start", message=message)
        if asked.thoughts:
            yield _start(0, {"type": "thinking", "thinking": "", "signature": ""})
            yield _delta(0, {"type": "signature_delta", "signature": "EqQBCgIYAhIM1gbcDa9GJwZA2b3h"})
            yield _stop(0)
        yield _start(_text_block(answer), {"type": "text", "text": ""})
        yield _event("ping")

    def word(self, answer: Answer, word: str) -> bytes:
        return _delta(_text_block(answer), {"type": "text_delta", "text": word})

    def closing(self, answer: Answer) -> Iterator[bytes]:
        index = _text_block(answer)
        yield _stop(index)
        if answer.tool is not None:
            name, arguments = answer.tool
            yield _start(index + 1, {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}})
            text = json.dumps(arguments, ensure_ascii=False) if arguments else ""
            for part in ("", text[:5], text[5:]):
                yield _delta(index + 1, {"type": "input_json_delta", "partial_json": part})
            yield _stop(index + 1)
        delta = {"stop_reason": _FINISH.get(answer.finish, "end_turn"), "stop_sequence": None}
        yield _event("message_delta", delta=delta, usage={"output_tokens": answer.completion_tokens})
        yield _event("message_stop")

    def broken(self, status: int, message: str) -> bytes:
        return event(self.error_body(status, message), "error")


def _text_block(answer: Answer) -> int:
    """The index of the block that has the reply's text."""
    return 1 if answer.asked.thoughts else 0


def _start(index: int, block: dict[str, Any]) -> bytes:
    return _event("content_block_start", index=index, content_block=block)


def _delta(index: int, delta: dict[str, Any]) -> bytes:
    return _event("content_block_delta", index=index, delta=delta)


def _stop(index: int) -> bytes:
    return _event("content_block_stop", index=index)


def _event(kind: str, **fields: Any) -> bytes:
    return event({"type": kind, **fields}, kind)

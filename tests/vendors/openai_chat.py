"""OpenAI's chat completions API, streamed.

Sources: developers.openai.com/api/docs, "Chat Completions" (API reference) and "Reasoning models"; what
thinking models refuse: github.com/n8n-io/n8n/issues/18149, github.com/huggingface/smolagents/pull/1868,
github.com/itzcrazykns/vane/issues/1173 (all read 2026-11-28). gpt-4.1-mini, which does not think, is there
until 2027-01-14, for who still has it in the settings ("Deprecations").

Documented request:  POST /v1/chat/completions, `Authorization: Bearer KEY`,
                     {"model": "gpt-4.1-mini", "stream": true, "messages": [
                         {"role": "developer", "content": "You are a helpful assistant."},
                         {"role": "user", "content": "Hello!"}]}
Documented response: data: {"id":"chatcmpl-123","object":"chat.completion.chunk","created":1694268190,
                     "model":"gpt-4o-mini","system_fingerprint":"fp_44709d6fcb","choices":[{"index":0,
                     "delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}
                     ... and after the last, data: [DONE]
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from tests.vendors.chat import THOUGHTS, Answer, Asked, ChatSimulator, Refusal, check_fields, event

_EFFORTS = {
    "gpt-6-luna": ("none", "low", "medium", "high", "xhigh", "max"),
    "gpt-5-mini": ("minimal", "low", "medium", "high"),
    "o3": ("low", "medium", "high"),
}
"""Models that think, and how much they can be told to."""


class OpenAiChat(ChatSimulator):
    models: ClassVar[frozenset[str]] = frozenset({"gpt-4.1-mini", *_EFFORTS})
    path: ClassVar[str] = "/v1/chat/completions"
    fields: ClassVar[frozenset[str]] = frozenset(
        {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "stop"}
        | {"temperature", "tools", "tool_choice", "reasoning_effort", "seed", "top_p"}
    )
    efforts: ClassVar[dict[str, tuple[str, ...]]] = _EFFORTS
    most_tokens: ClassVar[int] = 128_000

    def routes(self) -> Iterator[BaseRoute]:
        yield Route(self.path, self.answer, methods=["POST"])

    def understand(self, request: Request, body: Any) -> Asked:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Refusal(401, "Incorrect API key provided: ****.")
        check_fields(body, self.fields, "Unrecognized request argument supplied: {}")
        model = body.get("model")
        if model not in self.models:
            raise Refusal(404, f"The model `{model}` does not exist or you do not have access to it.")
        if body.get("stream") is not True:
            raise Refusal(400, "This simulator streams.")
        effort = self._effort(model, body)
        self.check_sampling(model, body)
        limit = body.get("max_completion_tokens", body.get("max_tokens"))
        if limit is not None and not 1 <= limit <= self.most_tokens:
            raise Refusal(400, f"max_tokens must be between 1 and {self.most_tokens}: {limit}")
        messages = [self._message(message) for message in body.get("messages") or ()]
        if not messages:
            raise Refusal(400, "Invalid 'messages': empty array.")
        tools = tuple(self._tool(tool) for tool in body.get("tools", ()))
        if tools and effort not in (None, "none") and model == "gpt-6-luna":
            raise Refusal(400, f"Function tools with reasoning_effort are not supported for {model}.")
        return Asked(
            model,
            "\n\n".join(text for role, text in messages if role in ("system", "developer")),
            tuple((role, text) for role, text in messages if role in ("user", "assistant")),
            limit,
            body.get("temperature"),
            tuple(body.get("stop", ())),
            tools,
            self._thoughts(model, effort),
        )

    def _effort(self, model: str, body: Any) -> str | None:
        """How much the model will think; None for one that cannot."""
        known = self.efforts.get(model)
        if known is None:
            if "reasoning_effort" in body:
                raise Refusal(400, "Unrecognized request argument supplied: reasoning_effort")
            return None
        effort = body.get("reasoning_effort", "medium")
        if effort not in known:
            raise Refusal(400, f"Unsupported value: 'reasoning_effort' does not support '{effort}'.")
        return str(effort)

    def _thoughts(self, model: str, effort: str | None) -> int:
        efforts = [each for each in self.efforts.get(model, ()) if each != "none"]
        return THOUGHTS * (1 + efforts.index(effort)) if effort in efforts else 0

    def check_sampling(self, model: str, body: Any) -> None:
        if model in self.efforts:
            for field in ("max_tokens", "stop"):
                if field in body:
                    raise Refusal(400, f"Unsupported parameter: '{field}' is not supported with this model.")
            if body.get("temperature", 1) != 1:
                raise Refusal(400, "Unsupported value: 'temperature' does not support it with this model.")
        if not 0 <= body.get("temperature", 1) <= 2:
            raise Refusal(400, "Invalid 'temperature': expected a value between 0 and 2.")
        if len(body.get("stop", ())) > 4:
            raise Refusal(400, "Invalid 'stop': array too long. Expected at most 4.")

    def _message(self, message: Any) -> tuple[str, str]:
        check_fields(message, frozenset({"role", "content"}), "Additional properties are not allowed: {}")
        role, content = message.get("role"), message.get("content")
        if role not in ("system", "developer", "user", "assistant", "tool"):
            raise Refusal(400, f"Invalid value: '{role}'.")
        if not isinstance(content, str):
            raise Refusal(400, "Invalid type for 'messages[0].content'.")
        return role, content

    def _tool(self, tool: Any) -> tuple[str, str, Any]:
        if tool.get("type") != "function":
            raise Refusal(400, "Invalid value: 'tools[0].type'.")
        function = tool["function"]
        check_fields(function, frozenset({"name", "description", "parameters"}), "Unknown parameter: {}")
        return function["name"], function["description"], function["parameters"]

    def opening(self, answer: Answer) -> Iterator[bytes]:
        yield self._chunk(answer, {"role": "assistant", "content": ""})

    def word(self, answer: Answer, word: str) -> bytes:
        return self._chunk(answer, {"content": word})

    def closing(self, answer: Answer) -> Iterator[bytes]:
        if answer.tool is not None:
            name, arguments = answer.tool
            begin = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name}}
            yield self._chunk(answer, {"tool_calls": [begin]})
            text = json.dumps(arguments, ensure_ascii=False)
            for part in (text[:5], text[5:]):
                yield self._chunk(answer, {"tool_calls": [{"index": 0, "function": {"arguments": part}}]})
        yield self._chunk(answer, {}, answer.finish)
        yield self._chunk(answer, None, usage=self._usage(answer))
        yield b"data: [DONE]\n\n"

    def broken(self, status: int, message: str) -> bytes:
        return event({"error": {"message": message, "type": "server_error", "code": str(status)}})

    def _usage(self, answer: Answer) -> dict[str, Any]:
        return {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": answer.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": answer.asked.thoughts},
        }

    def _chunk(
        self, answer: Answer, delta: Any, finish: str | None = None, usage: dict[str, Any] | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return event(
            {
                "id": "chatcmpl-123",
                "object": "chat.completion.chunk",
                "created": 1_694_268_190,
                "model": answer.asked.model,
                "choices": [choice] if delta is not None else [],
                "usage": usage,
            }
        )

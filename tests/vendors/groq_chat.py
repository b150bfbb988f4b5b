"""Groq's chat completions API: OpenAI's, with models, limits and refusals of its own.

Sources: console.groq.com/docs/api-reference#chat-create, /docs/models, /docs/reasoning, /docs/openai;
reasoning efforts by model: github.com/DataTalksClub/llm-zoomcamp/issues/183; the stream's usage:
github.com/Portkey-AI/gateway/issues/1338 (all read 2026-11-28).

Documented request:  POST /openai/v1/chat/completions, `Authorization: Bearer KEY`,
                     {"model": "openai/gpt-oss-20b", "messages": [
                         {"role": "user", "content": "Explain the importance of fast language models"}]}
Documented response: data: {"id":"chatcmpl-...","object":"chat.completion.chunk","created":1757714116,
                     "model":"...","choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,
                     "finish_reason":null}],"x_groq":{"id":"req_..."}}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, ClassVar

from starlette.requests import Request

from tests.vendors.chat import Answer, Asked, Refusal, event
from tests.vendors.openai_chat import OpenAiChat

_EFFORTS = {
    "openai/gpt-oss-20b": ("low", "medium", "high"),
    "openai/gpt-oss-120b": ("low", "medium", "high"),
    "qwen/qwen3.6-27b": ("none", "default"),
}


class GroqChat(OpenAiChat):
    models: ClassVar[frozenset[str]] = frozenset(_EFFORTS)
    path: ClassVar[str] = "/openai/v1/chat/completions"
    fields: ClassVar[frozenset[str]] = OpenAiChat.fields | {"include_reasoning", "reasoning_format"}
    efforts: ClassVar[dict[str, tuple[str, ...]]] = _EFFORTS
    most_tokens: ClassVar[int] = 65_536

    def check_sampling(self, model: str, body: Any) -> None:
        if "reasoning_format" in body and ("include_reasoning" in body or model.startswith("openai/")):
            raise Refusal(400, "reasoning_format is not supported here")
        if not 0 <= body.get("temperature", 1) <= 2:
            raise Refusal(400, "temperature must be between 0 and 2")
        if len(body.get("stop", ())) > 4:
            raise Refusal(400, "stop: at most 4 sequences")

    def understand(self, request: Request, body: Any) -> Asked:
        asked = super().understand(request, body)
        return replace(asked, shows_thoughts=asked.thoughts > 0 and body.get("include_reasoning", True))

    def opening(self, answer: Answer) -> Iterator[bytes]:
        yield from super().opening(answer)
        if answer.asked.shows_thoughts:
            yield self._chunk(answer, {"reasoning": "The caller wants to know"})

    def closing(self, answer: Answer) -> Iterator[bytes]:
        *before, done = super().closing(answer)
        yield from before
        yield event({"id": "chatcmpl-123", "choices": [], "x_groq": {"usage": self._usage(answer)}})
        yield done

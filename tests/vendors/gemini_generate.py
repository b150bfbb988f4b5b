"""The Gemini API's `streamGenerateContent`.

Sources: ai.google.dev/api/generate-content, ai.google.dev/gemini-api/docs/generate-content/thinking and
/docs/latest-model, docs.cloud.google.com/.../models/gemini/3-5-flash-lite; a wrong key:
github.com/zeroclaw-labs/zeroclaw/issues/194; a last turn of the model's:
github.com/LibreChat-AI/agents/pull/323; thinking levels: github.com/earendil-works/pi/issues/9455 (all read
2026-11-28).

Documented request:  POST /v1/models/MODEL:streamGenerateContent?alt=sse, `x-goog-api-key: KEY`,
                     {"contents": [{"parts": [{"text": "Explain how AI works."}]}]}
Documented response: data: {"candidates": [{"content": {"parts": [{"text": "AI"}], "role": "model"},
                     "index": 0}], "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4},
                     "modelVersion": "gemini-3.5-flash-lite"}
                     ... the last with "finishReason": "STOP"; nothing marks the end
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from tests.vendors.chat import THOUGHTS, Answer, Asked, ChatSimulator, Refusal, check_fields, event
from tests.vendors.simulator import RETRY_AFTER_S

_LEVELS = {
    "gemini-3.5-flash-lite": ("MINIMAL", "LOW", "MEDIUM", "HIGH"),
    "gemini-3.8-flash": ("LOW", "MEDIUM", "HIGH"),
}
_FINISH = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
_UNKNOWN = 'Invalid JSON payload received. Unknown name "{}": Cannot find field.'
_INVALID_KEY = "API key not valid. Please pass a valid API key."


class GeminiGenerate(ChatSimulator):
    models: ClassVar[frozenset[str]] = frozenset(_LEVELS)
    fields: ClassVar[frozenset[str]] = frozenset(
        {"contents", "systemInstruction", "generationConfig", "tools", "toolConfig", "safetySettings"}
    )
    settings: ClassVar[frozenset[str]] = frozenset(
        {"maxOutputTokens", "temperature", "stopSequences", "thinkingConfig", "topP", "topK"}
    )

    def __init__(self) -> None:
        super().__init__()
        self.blocked = False
        """Whether the prompt is refused by a filter: then there is no candidate at all."""
        self.finish = ""
        """A finish reason of Google's, other than the reply's own."""

    def routes(self) -> Iterator[BaseRoute]:
        yield Route("/v1/models/{call}", self.answer, methods=["POST"])

    def error(self, status: int, message: str) -> Response:
        details: list[dict[str, Any]] = []
        if status == 429:
            retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{RETRY_AFTER_S}s"}
            details.append(retry)
        if message == _INVALID_KEY:
            kind = "type.googleapis.com/google.rpc.ErrorInfo"
            details.append({"@type": kind, "reason": "API_KEY_INVALID", "domain": "googleapis.com"})
        body = self.error_body(status, message)
        body["error"]["details"] = details
        return JSONResponse(body, status)

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        name = _STATUS.get(status, "UNAVAILABLE")
        return {"error": {"code": status, "message": message, "status": name}}

    def understand(self, request: Request, body: Any) -> Asked:
        body = _in_camel_case(body)
        if request.headers.get("x-goog-api-key") != self.key:
            raise Refusal(400, _INVALID_KEY)
        model, _, method = request.path_params["call"].partition(":")
        if method != "streamGenerateContent" or request.query_params.get("alt") != "sse":
            raise Refusal(404, f"{method} is not known")
        if model not in self.models:
            raise Refusal(404, f"models/{model} is not found for API version v1")
        check_fields(body, self.fields, _UNKNOWN)
        config = body.get("generationConfig", {})
        check_fields(config, self.settings, _UNKNOWN)
        if len(config.get("stopSequences", ())) > 5:
            raise Refusal(400, "The maximum number of stop sequences is 5.")
        if config.get("maxOutputTokens", 1) < 1:
            raise Refusal(400, "max_output_tokens must be positive.")
        return Asked(
            model,
            "".join(part["text"] for part in body.get("systemInstruction", {}).get("parts", ())),
            self._turns(body.get("contents", ())),
            config.get("maxOutputTokens"),
            config.get("temperature"),
            tuple(config.get("stopSequences", ())),
            tuple(self._tools(body.get("tools", ()))),
            self._thoughts(model, config.get("thinkingConfig", {})),
        )

    def _turns(self, contents: Any) -> tuple[tuple[str, str], ...]:
        if not contents:
            raise Refusal(400, "* GenerateContentRequest.contents: contents is not specified")
        for content in contents:
            check_fields(content, frozenset({"role", "parts"}), _UNKNOWN)
            if content.get("role", "user") not in ("user", "model"):
                raise Refusal(400, "Please use a valid role: user, model.")
            if not all(part.get("text") for part in content["parts"]):
                raise Refusal(400, "Unable to submit request because it must have a text parameter.")
        if contents[-1].get("role") == "model":
            raise Refusal(400, "Requests ending with a model turn are not supported.")
        return tuple(
            (
                "assistant" if content.get("role") == "model" else "user",
                "".join(part["text"] for part in content["parts"]),
            )
            for content in contents
        )

    def _tools(self, tools: Any) -> Iterator[tuple[str, str, Any]]:
        for tool in tools:
            check_fields(tool, frozenset({"functionDeclarations"}), _UNKNOWN)
            for each in tool["functionDeclarations"]:
                check_fields(each, frozenset({"name", "description", "parametersJsonSchema"}), _UNKNOWN)
                yield each["name"], each["description"], each["parametersJsonSchema"]

    def _thoughts(self, model: str, thinking: Any) -> int:
        check_fields(thinking, frozenset({"thinkingLevel", "includeThoughts"}), _UNKNOWN)
        level = thinking.get("thinkingLevel", _LEVELS[model][0] if "lite" in model else "MEDIUM")
        if level not in _LEVELS[model]:
            raise Refusal(400, f"Thinking level {level} is not supported for this model.")
        return 0 if level == "MINIMAL" else THOUGHTS

    def opening(self, answer: Answer) -> Iterator[bytes]:
        if answer.asked.thoughts:
            yield self._chunk(answer, [{"text": "The caller wants to know", "thought": True}])

    def word(self, answer: Answer, word: str) -> bytes:
        return self._chunk(answer, [{"text": word}])

    def closing(self, answer: Answer) -> Iterator[bytes]:
        if self.blocked:
            yield event({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, **self._usage(answer)})
            return
        if answer.tool is not None:
            name, arguments = answer.tool
            yield self._chunk(answer, [{"functionCall": {"name": name, "args": arguments}}])
        yield self._chunk(answer, [{"text": ""}], self.finish or _FINISH.get(answer.finish, "STOP"))

    def broken(self, status: int, message: str) -> bytes:
        return event(self.error_body(status, message))

    def _chunk(self, answer: Answer, parts: list[dict[str, Any]], finish: str = "") -> bytes:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        return event(
            {
                "candidates": [candidate],
                **self._usage(answer),
                "modelVersion": answer.asked.model,
                "responseId": "Il0taoSYJ5Cez7",
            }
        )

    def _usage(self, answer: Answer) -> dict[str, Any]:
        usage = {
            "promptTokenCount": answer.prompt_tokens,
            "candidatesTokenCount": len(answer.words),
            "totalTokenCount": answer.prompt_tokens + answer.completion_tokens,
        }
        if answer.cached_tokens:
            usage["cachedContentTokenCount"] = answer.cached_tokens
        if answer.asked.thoughts:
            usage["thoughtsTokenCount"] = answer.asked.thoughts
        return {"usageMetadata": usage}


def _in_camel_case(given: Any, name: str = "") -> Any:
    """Names of fields as documented; Google takes those of the protocol buffers as well."""
    if isinstance(given, list):
        return [_in_camel_case(each) for each in given]
    if not isinstance(given, dict) or name == "parametersJsonSchema":
        return given
    names = {key: re.sub(r"_([a-z])", lambda match: match[1].upper(), key) for key in given}
    return {names[key]: _in_camel_case(value, names[key]) for key, value in given.items()}

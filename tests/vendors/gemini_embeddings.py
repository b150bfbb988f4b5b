"""The Gemini API's `batchEmbedContents`.

Sources: ai.google.dev/api/embeddings (request, response), ai.google.dev/gemini-api/docs/embeddings
(dimensions, prompts instead of tasks from version 2 on), github.com/geldata/gel/issues/9032 (at most 100
requests), github.com/lingfengQAQ/webnovel-writer/pull/51 (an empty part),
ai.google.dev/gemini-api/docs/troubleshooting (errors); read 2026-11-24. Stricter than documented in one
thing: version 2 is said not to support a task, not what becomes of one.

Documented request:  POST /v1beta/models/gemini-embedding-001:batchEmbedContents, `x-goog-api-key: KEY`,
                     {"requests": [{"model": "models/gemini-embedding-001",
                     "content": {"parts": [{"text": "What is the meaning of life?"}]}}, ...]}
Documented response: {"embeddings": [{"values": [-0.022374, ...]}, ...]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.providers.base import Role
from tests.vendors.embeddings import Asked, EmbeddingSimulator, Refusal
from tests.vendors.simulator import RETRY_AFTER_S

MOST_TEXTS = 100
_STATUS = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
_INVALID_KEY = "API key not valid. Please pass a valid API key."
_TASKS: Mapping[str, Role] = {"RETRIEVAL_QUERY": "query", "RETRIEVAL_DOCUMENT": "document"}
_PROMPTS: Mapping[str, Role] = {"task: search result | query: ": "query", "title: none | text: ": "document"}
_DETAIL = "type.googleapis.com/google.rpc."


class GeminiEmbeddings(EmbeddingSimulator):
    path: ClassVar[str] = "/v1beta/models/{call}"
    models: ClassVar[frozenset[str]] = frozenset({"gemini-embedding-001", "gemini-embedding-2"})

    def __init__(self) -> None:
        super().__init__()
        self.billing = True
        """Whether the account has what its country requires."""

    def native_dimension(self, model: str) -> int:
        return 3072

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        name = _STATUS.get(status, "UNAVAILABLE")
        return {"error": {"code": status, "message": message, "status": name}}

    def error(self, status: int, message: str) -> Response:
        body = self.error_body(status, message)
        if status == 429:
            body["error"]["details"] = [{"@type": f"{_DETAIL}RetryInfo", "retryDelay": f"{RETRY_AFTER_S}s"}]
        if message == _INVALID_KEY:
            body["error"]["details"] = [{"@type": f"{_DETAIL}ErrorInfo", "reason": "API_KEY_INVALID"}]
        if "billing" in message:
            body["error"]["status"] = "FAILED_PRECONDITION"
        return JSONResponse(body, status)

    def understand(self, request: Request, body: dict[str, Any]) -> Asked:
        if request.headers.get("x-goog-api-key") != self.key:
            raise Refusal(400, _INVALID_KEY)
        if not self.billing:
            raise Refusal(
                400, "Gemini API free tier is not available in your country. Please enable billing."
            )
        model, _, method = request.path_params["call"].partition(":")
        if model not in self.models or method != "batchEmbedContents":
            raise Refusal(404, f"models/{model} is not found for API version v1beta, or not for {method}.")
        _only(body, "requests")
        requests = body.get("requests", [])
        if not requests:
            raise Refusal(400, "* BatchEmbedContentsRequest.requests: requests is not specified")
        if len(requests) > MOST_TEXTS:
            raise Refusal(
                400,
                f"* BatchEmbedContentsRequest.requests: at most {MOST_TEXTS} requests can be in one batch",
            )
        read = [self._read(model, each) for each in requests]
        texts, roles, dimensions = (tuple(column) for column in zip(*read, strict=True))
        if len(set(roles)) != 1 or len(set(dimensions)) != 1:
            raise Refusal(400, "This simulator wants one task and dimension in a batch.")
        return Asked(texts, roles[0], model, dimensions[0])

    def _read(self, model: str, each: dict[str, Any]) -> tuple[str, Role | None, int | None]:
        _only(each, "model", "content", "taskType", "title", "outputDimensionality")
        _only(each.get("content", {}), "role", "parts")
        if each.get("model") != f"models/{model}":
            raise Refusal(400, "* BatchEmbedContentsRequest.requests: model must match the batch's")
        parts = each.get("content", {}).get("parts", [])
        if not parts or not all(part.get("text") for part in parts):
            raise Refusal(400, "* EmbedContentRequest.content: contains an empty Part.")
        dimension = each.get("outputDimensionality")
        if dimension is not None and not 128 <= dimension <= 3072:
            raise Refusal(400, f"outputDimensionality {dimension} is not between 128 and 3072.")
        text = "".join(part["text"] for part in parts)
        if model == "gemini-embedding-001":
            task = each.get("taskType", "")
            if task and task not in _TASKS:
                raise Refusal(400, f"Invalid value at 'requests[0].task_type': \"{task}\"")
            return text, _TASKS.get(task), dimension
        if "taskType" in each:
            raise Refusal(400, f"models/{model} does not support a task type.")
        for prompt, role in _PROMPTS.items():
            if text.startswith(prompt):
                return text.removeprefix(prompt), role, dimension
        return text, None, dimension

    def answer(self, asked: Asked, vectors: list[Any]) -> dict[str, Any]:
        return {"embeddings": [{"values": vector} for vector in vectors]}


def _only(body: dict[str, Any], *known: str) -> None:
    for name in body:
        if name not in known:
            raise Refusal(400, f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')

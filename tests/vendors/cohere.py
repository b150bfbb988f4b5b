"""Cohere's Embed API, version 2.

Sources: docs.cohere.com/reference/embed, docs.cohere.com/docs/cohere-embed (models, dimensions),
docs.cohere.com/reference/errors; read 2026-11-24. Stricter than documented in two things: an unknown field
and an empty text, of which nothing is said.

Documented request:  POST /v2/embed, `Authorization: Bearer KEY`, {"model": "embed-v4.0",
                     "input_type": "classification", "texts": ["hello", "goodbye"],
                     "embedding_types": ["float"]}
Documented response: {"id": "da6e531f-...", "embeddings": {"float": [[0.016296387, ...], ...]},
                     "texts": ["hello", "goodbye"], "meta": {"api_version": {"version": "2"},
                     "billed_units": {"input_tokens": 2}}, "response_type": "embeddings_by_type"}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.requests import Request

from engine.providers.base import Role
from tests.vendors.embeddings import Asked, EmbeddingSimulator, Refusal, only, texts_in, tokens

MOST_TEXTS = 96
_ROLES: Mapping[str, Role | None] = {
    "search_query": "query",
    "search_document": "document",
    "classification": None,
    "clustering": None,
}


class Cohere(EmbeddingSimulator):
    path: ClassVar[str] = "/v2/embed"
    models: ClassVar[Mapping[str, tuple[int, frozenset[int]]]] = {
        "embed-v5.0-fast": (2048, frozenset({256, 512, 768, 1024, 1536, 2048})),
        "embed-v4.0": (1536, frozenset({256, 512, 1024, 1536})),
        "embed-multilingual-v3.0": (1024, frozenset()),
    }
    """The dimension of what is sent when none is asked, and those that may be asked for."""

    def native_dimension(self, model: str) -> int:
        return self.models[model][0]

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        return {"id": "f4a1a0b6-0f53-4f0e-9a43-000000000000", "message": message}

    def understand(self, request: Request, body: dict[str, Any]) -> Asked:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Refusal(401, "invalid api token")
        only(body, "model", "input_type", "texts", "embedding_types", "output_dimension", "truncate")
        if "model" not in body:
            raise Refusal(400, "a model parameter is required for this endpoint.")
        model, dimension = body["model"], body.get("output_dimension")
        if model not in self.models:
            raise Refusal(404, f"model '{model}' not found, make sure the correct model ID was used")
        if body.get("input_type") not in _ROLES:
            raise Refusal(400, "invalid request: valid input_type must be provided with the provided model")
        texts = texts_in(body, "texts", MOST_TEXTS)
        if body.get("embedding_types", ["float"]) != ["float"]:
            raise Refusal(400, "This simulator sends floats alone.")
        if dimension is not None and dimension not in self.models[model][1]:
            raise Refusal(400, f"invalid request: output_dimension {dimension} is not supported")
        return Asked(texts, _ROLES[body["input_type"]], model, dimension)

    def answer(self, asked: Asked, vectors: list[Any]) -> dict[str, Any]:
        return {
            "id": "da6e531f-54c5-4a73-bf92-f60566d8d753",
            "embeddings": {"float": vectors},
            "texts": list(asked.texts),
            "meta": {
                "api_version": {"version": "2"},
                "billed_units": {"input_tokens": sum(map(tokens, asked.texts))},
            },
            "response_type": "embeddings_by_type",
        }

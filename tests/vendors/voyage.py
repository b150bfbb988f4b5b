"""Voyage AI's embeddings API.

Sources: docs.voyageai.com/reference/embeddings-api (limits), docs.voyageai.com/docs/embeddings (models),
docs.voyageai.com/docs/error-codes, and the OpenAPI document behind mongodb.com/docs/api/doc/
atlas-embedding-and-reranking-api (no empty texts); read 2026-11-24. Which status an unknown model gets is not
documented: "a parameter is invalid" is 400.

Documented request:  POST /v1/embeddings, `Authorization: Bearer KEY`, {"input": ["Sample text 1",
                     "Sample text 2"], "model": "voyage-4-large"}
Documented response: {"object": "list", "data": [{"object": "embedding", "embedding": [0.0038915484, ...],
                     "index": 0}, ...], "model": "voyage-4-large", "usage": {"total_tokens": 10}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.requests import Request

from tests.vendors.embeddings import Asked, EmbeddingSimulator, Refusal, only, texts_in, tokens

MOST_TEXTS = 1000
_NESTED = frozenset({256, 512, 1024, 2048})


class Voyage(EmbeddingSimulator):
    path: ClassVar[str] = "/v1/embeddings"
    indexed: ClassVar[bool] = True
    models: ClassVar[Mapping[str, tuple[int, frozenset[int]]]] = {
        "voyage-4-large": (120_000, _NESTED),
        "voyage-4": (320_000, _NESTED),
        "voyage-4-lite": (1_000_000, _NESTED),
        "voyage-law-2": (120_000, frozenset()),
    }
    """The most tokens in a request, and the dimensions that may be asked for."""

    def native_dimension(self, model: str) -> int:
        return 1024

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        return {"detail": message}

    def understand(self, request: Request, body: dict[str, Any]) -> Asked:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Refusal(401, "Provided API key is invalid.")
        only(body, "input", "model", "input_type", "truncation", "output_dimension", "output_dtype")
        texts = texts_in(body, "input", MOST_TEXTS)
        model, role, dimension = body.get("model", ""), body.get("input_type"), body.get("output_dimension")
        if model not in self.models:
            raise Refusal(400, f"Model {model} is not supported.")
        most_tokens, dimensions = self.models[model]
        if role not in (None, "query", "document"):
            raise Refusal(400, f"Value '{role}' provided for 'input_type' is not supported.")
        if dimension is not None and dimension not in dimensions:
            raise Refusal(400, f"Value '{dimension}' provided for 'output_dimension' is not supported.")
        if sum(map(tokens, texts)) > most_tokens:
            raise Refusal(400, f"The max allowed tokens per submitted batch is {most_tokens}.")
        return Asked(texts, role, model, dimension)

    def answer(self, asked: Asked, vectors: list[Any]) -> dict[str, Any]:
        return {
            "object": "list",
            "data": self.numbered(vectors),
            "model": asked.model,
            "usage": {"total_tokens": sum(map(tokens, asked.texts))},
        }

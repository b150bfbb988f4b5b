"""OpenAI's embeddings API.

Sources: developers.openai.com/api/reference/resources/embeddings (limits, request, response) and
github.com/SciPhi-AI/R2R/issues/354 (a dimension asked of an older model); read 2026-11-24.

Documented request:  POST /v1/embeddings, `Authorization: Bearer KEY`, {"input": "The food was delicious ...",
                     "model": "text-embedding-ada-002", "encoding_format": "float"}
Documented response: {"object": "list", "data": [{"object": "embedding", "embedding": [0.0023064255, ...],
                     "index": 0}], "model": "text-embedding-ada-002",
                     "usage": {"prompt_tokens": 8, "total_tokens": 8}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.requests import Request

from tests.vendors.embeddings import Asked, EmbeddingSimulator, Refusal, only, texts_in, tokens

MOST_TEXTS = 2048
MOST_TOKENS = 8_192
MOST_TOKENS_IN_ALL = 300_000


class OpenAiEmbeddings(EmbeddingSimulator):
    path: ClassVar[str] = "/v1/embeddings"
    indexed: ClassVar[bool] = True
    models: ClassVar[Mapping[str, int]] = {
        "text-embedding-3-small": 1536,
        "text-embedding-3-large": 3072,
        "text-embedding-ada-002": 1536,
    }

    def native_dimension(self, model: str) -> int:
        return self.models[model]

    def understand(self, request: Request, body: dict[str, Any]) -> Asked:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            raise Refusal(401, "Incorrect API key provided: ****")
        only(body, "input", "model", "encoding_format", "dimensions", "user")
        texts = texts_in(body, "input", MOST_TEXTS)
        model = body.get("model", "")
        if model not in self.models:
            raise Refusal(404, f"The model `{model}` does not exist or you do not have access to it.")
        if body.get("encoding_format", "float") != "float":
            raise Refusal(400, "This simulator does not write base64.")
        if max(map(tokens, texts)) > MOST_TOKENS:
            raise Refusal(400, f"This model's maximum context length is {MOST_TOKENS} tokens.")
        if sum(map(tokens, texts)) > MOST_TOKENS_IN_ALL:
            raise Refusal(400, f"Requested too many tokens, max {MOST_TOKENS_IN_ALL} tokens per request")
        dimension = body.get("dimensions")
        if dimension is not None and model == "text-embedding-ada-002":
            raise Refusal(400, "This model does not support specifying dimensions.")
        if dimension is not None and not 1 <= dimension <= self.models[model]:
            raise Refusal(400, f"Invalid value for 'dimensions' = {dimension}.")
        return Asked(texts, None, model, dimension)

    def answer(self, asked: Asked, vectors: list[Any]) -> dict[str, Any]:
        used = sum(map(tokens, asked.texts))
        return {
            "object": "list",
            "data": self.numbered(vectors),
            "model": asked.model,
            "usage": {"prompt_tokens": used, "total_tokens": used},
        }

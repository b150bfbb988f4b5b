"""Embeddings by Google: the Gemini API's `batchEmbedContents`.

Source: ai.google.dev/api/embeddings and ai.google.dev/gemini-api/docs/embeddings. gemini-embedding-001 sends
vectors of length 1 only where they have 3,072 numbers; the base sees to the others. What becomes of a text of
more than the model's 2,048 tokens (8,192 from version 2 on) is not documented.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from google.genai import types

from engine.providers.base import Role
from engine.providers.embeddings.vendor import Dimensions, VendorEmbedder
from engine.providers.genai import FAILURES, GenAiHttp, provider_error, sdk
from engine.providers.vendor import VendorOptions

_NESTED = Dimensions(768, range(128, 3073))
_TASKS: Mapping[Role, str] = {"query": "RETRIEVAL_QUERY", "document": "RETRIEVAL_DOCUMENT"}
_PROMPTS: Mapping[Role, str] = {
    "query": "task: search result | query: {}",
    "document": "title: none | text: {}",
}
"""Instead of a task, from version 2 on."""


class GeminiEmbedder(VendorEmbedder):
    name: ClassVar[str] = "gemini"
    default_base_url: ClassVar[str] = "https://generativelanguage.googleapis.com"
    default_model: ClassVar[str] = "gemini-embedding-001"
    dimensions: ClassVar[Mapping[str, Dimensions]] = {
        "gemini-embedding-001": _NESTED,
        "gemini-embedding-2": _NESTED,
    }
    batch: ClassVar[int] = 100

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._http = GenAiHttp(self)
        self._client = sdk(self, self._http, "v1beta")

    async def close(self) -> None:
        self._client.close()
        await self._http.aclose()

    async def ask(self, texts: Sequence[str], role: Role) -> Any:
        takes_task = self.model == "gemini-embedding-001"
        prompt = "{}" if takes_task else _PROMPTS[role]
        # Each a content of its own: of plain strings the SDK makes the parts of one, which get one vector.
        contents: list[Any] = [types.Content(parts=[types.Part(text=prompt.format(text))]) for text in texts]
        config = types.EmbedContentConfig(
            task_type=_TASKS[role] if takes_task else None, output_dimensionality=self.asked_dimension
        )
        try:
            return await self._client.aio.models.embed_content(
                model=self.model, contents=contents, config=config
            )
        except FAILURES as error:
            raise provider_error(error, self.name) from error

    def read(self, answer: Any) -> list[list[float]]:
        return [each.values for each in answer.embeddings]

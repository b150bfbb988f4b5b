"""Embeddings by OpenAI.

Source: developers.openai.com/api/reference/resources/embeddings. The models make no difference between a
question and a text that answers it. A text of more than 8,192 tokens is refused, not shortened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import httpx2
import openai

from engine.providers.base import Role
from engine.providers.embeddings.vendor import Dimensions, VendorEmbedder, in_order
from engine.providers.openai_sdk import provider_error, sdk
from engine.providers.vendor import VendorOptions


class OpenAiEmbedder(VendorEmbedder):
    name: ClassVar[str] = "openai"
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    default_model: ClassVar[str] = "text-embedding-3-small"
    dimensions: ClassVar[Mapping[str, Dimensions]] = {
        "text-embedding-3-small": Dimensions(1536, range(1, 1537)),
        "text-embedding-3-large": Dimensions(3072, range(1, 3073)),
        "text-embedding-ada-002": Dimensions(1536, {1536}),
    }
    batch: ClassVar[int] = 2048
    batch_bytes: ClassVar[float] = 300_000

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._client = sdk(self)

    async def close(self) -> None:
        await self._client.close()

    async def ask(self, texts: Sequence[str], role: Role) -> Any:
        try:
            return await self._client.embeddings.create(
                input=list(texts),
                model=self.model,
                encoding_format="float",
                dimensions=self.asked_dimension or openai.omit,
            )
        except (openai.OpenAIError, httpx2.HTTPError, ValueError, AttributeError, TypeError) as error:
            raise provider_error(error, self.name) from error

    def read(self, answer: Any) -> list[list[float]]:
        return in_order((each.index, each.embedding) for each in answer.data)

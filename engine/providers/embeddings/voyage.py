"""Embeddings by Voyage AI.

Source: docs.voyageai.com/reference/embeddings-api, .../docs/embeddings and .../docs/error-codes. Over REST,
since the vendor's SDK brings LangChain's text splitters, Pillow and requests along, for a single route.

A text of more than 32,000 tokens is shortened by the vendor. Version 4 models share one space, which is not
made use of: `space` names the model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from engine.providers.base import Role
from engine.providers.embeddings.vendor import Dimensions, VendorEmbedder, in_order
from engine.providers.vendor import VendorHttp, VendorOptions

_NESTED = Dimensions(1024, {256, 512, 1024, 2048})
_FIXED = Dimensions(1024, {1024})


class VoyageEmbedder(VendorEmbedder):
    name: ClassVar[str] = "voyage"
    default_base_url: ClassVar[str] = "https://api.voyageai.com/v1"
    default_model: ClassVar[str] = "voyage-4-lite"
    dimensions: ClassVar[Mapping[str, Dimensions]] = {
        "voyage-4-large": _NESTED,
        "voyage-4": _NESTED,
        "voyage-4-lite": _NESTED,
        "voyage-3-large": _NESTED,
        "voyage-3.5": _NESTED,
        "voyage-3.5-lite": _NESTED,
        "voyage-code-3": _NESTED,
        "voyage-finance-2": _FIXED,
        "voyage-law-2": _FIXED,
    }
    batch: ClassVar[int] = 1000
    batch_bytes: ClassVar[float] = 120_000
    """What the largest models take; the smaller ones take more."""

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._http = VendorHttp(self, {"authorization": f"Bearer {options.api_key}"})

    async def close(self) -> None:
        await self._http.close()

    async def ask(self, texts: Sequence[str], role: Role) -> Any:
        body: dict[str, Any] = {"input": list(texts), "model": self.model, "input_type": role}
        if self.asked_dimension is not None:
            body["output_dimension"] = self.asked_dimension
        return await self._http.json("POST", "/embeddings", json=body)

    def read(self, answer: Any) -> list[list[float]]:
        return in_order((each["index"], each["embedding"]) for each in answer["data"])

"""The base of embedding vendors: batches, dimension and space."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from engine.errors import ProviderUnavailable
from engine.providers.base import Role
from engine.providers.vendor import Vendor, VendorOptions


class VendorEmbedder(Vendor):
    """An Embedder. `extra["dimension"]`: shorter vectors, where the model can."""

    default_dimension: ClassVar[int]
    batch: ClassVar[int]
    """The most texts the vendor takes in a request."""
    extras = frozenset({"dimension"})

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._dimension = int(options.extra.get("dimension", self.default_dimension))

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def space(self) -> str:
        return f"{self.name}/{self.model}/{self._dimension}"

    async def embed(self, texts: Sequence[str], *, role: Role) -> list[list[float]]:
        """One vector a text, of length 1. Raises ProviderErrors."""
        vectors: list[list[float]] = []
        for start in range(0, len(texts), self.batch):
            batch = texts[start : start + self.batch]
            answered = await self.embed_batch(batch, role)
            self._refuse_wrong(answered, len(batch))
            vectors.extend(_normalised(vector) for vector in answered)
        return vectors

    @abstractmethod
    async def embed_batch(self, texts: Sequence[str], role: Role) -> list[list[float]]:
        """At most `batch` texts, at least one. Raises ProviderErrors."""

    async def sample(self) -> str:
        await self.embed(["When do you open?"], role="query")
        return f"{self.model}, {self._dimension} dimensions"

    def _refuse_wrong(self, vectors: Any, texts: int) -> None:
        """A vector of another length would poison the index."""
        if len(vectors) != texts or any(len(vector) != self._dimension for vector in vectors):
            raise ProviderUnavailable(
                f"{self.name} did not send {texts} vectors of {self._dimension} numbers", provider=self.name
            )


def _normalised(vector: list[float]) -> list[float]:
    length = math.sqrt(math.fsum(number * number for number in vector))
    return [number / length for number in vector] if length else vector

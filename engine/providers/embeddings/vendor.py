"""The base of embedding vendors: dimensions, batches, and what is sent back."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from engine.errors import ConfigurationError, ProviderRejected, ProviderUnavailable
from engine.providers.base import Role
from engine.providers.vendor import Vendor, VendorOptions


@dataclass(frozen=True, slots=True)
class Dimensions:
    """Of a model's vectors: how many numbers when nothing is asked, and which numbers may be asked for."""

    default: int
    allowed: Collection[int]

    def __str__(self) -> str:
        if isinstance(self.allowed, range):
            return f"{self.allowed[0]} to {self.allowed[-1]}"
        return ", ".join(str(each) for each in sorted(self.allowed))


class VendorEmbedder(Vendor):
    """An Embedder. `extra["dimension"]`: shorter vectors, where the model can.

    Blank texts are refused here, with ProviderRejected: vendors differ in what they make of one (OpenAI and
    Gemini refuse it, others answer), and a vector of nothing would be found by any question.
    """

    dimensions: ClassVar[Mapping[str, Dimensions]]
    """Of the models that are known. For another one the options must say the dimension."""
    batch: ClassVar[int]
    """The most texts the vendor takes in a request."""
    batch_bytes: ClassVar[float] = math.inf
    """The most text in a request, in bytes of UTF-8, where the vendor limits tokens: none is shorter."""
    extras: ClassVar[frozenset[str]] = frozenset({"dimension"})

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._dimension = self._chosen_dimension(options.extra.get("dimension"))

    @property
    def dimension(self) -> int:
        return self._dimension

    @property
    def space(self) -> str:
        return f"{self.name}/{self.model}/{self._dimension}"

    @property
    def asked_dimension(self) -> int | None:
        """What to ask the vendor for; None where the model has but one, and may refuse to be asked."""
        known = self.dimensions.get(self.model)
        return None if known and len(known.allowed) == 1 else self._dimension

    async def embed(self, texts: Sequence[str], *, role: Role) -> list[list[float]]:
        """One vector a text, of length 1. Raises ProviderErrors."""
        if not all(text.strip() for text in texts):
            raise ProviderRejected(f"{self.name} is asked to embed a blank text", provider=self.name)
        vectors: list[list[float]] = []
        for batch in self._batches(texts):
            answer = await self.ask(batch, role)
            vectors.extend(self._read_all(answer, len(batch)))
        return vectors

    @abstractmethod
    async def ask(self, texts: Sequence[str], role: Role) -> Any:
        """The vendor's answer for a batch, which is never empty. Raises ProviderErrors."""

    @abstractmethod
    def read(self, answer: Any) -> list[list[float]]:
        """The vectors in an answer, in the texts' order and of any length.

        An answer of another form may end in any of Python's lookup, type and value errors.
        """

    async def sample(self) -> str:
        await self.embed(["When do you open?"], role="query")
        return f"{self.model}, {self._dimension} dimensions"

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """As few as the vendor's limits allow. A text that is too long by itself goes alone."""
        batch: list[str] = []
        size = 0
        for text in texts:
            length = len(text.encode(errors="replace"))
            if batch and (len(batch) == self.batch or size + length > self.batch_bytes):
                yield batch
                batch, size = [], 0
            batch.append(text)
            size += length
        if batch:
            yield batch

    def _read_all(self, answer: Any, texts: int) -> list[list[float]]:
        """A vector more or less, or of another length, would poison the index."""
        try:
            matrix = np.array(self.read(answer), dtype=np.float64)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise self._unreadable(texts) from error
        if matrix.shape != (texts, self._dimension):
            raise self._unreadable(texts)
        lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
        if not (np.isfinite(lengths) & (lengths > 0)).all():
            raise self._unreadable(texts)
        vectors: list[list[float]] = (matrix / lengths).tolist()
        return vectors

    def _unreadable(self, texts: int) -> ProviderUnavailable:
        return ProviderUnavailable(
            f"{self.name} did not send {texts} vectors of {self._dimension} numbers", provider=self.name
        )

    def _chosen_dimension(self, asked: Any) -> int:
        known = self.dimensions.get(self.model)
        if asked is None:
            if known is None:
                raise ConfigurationError(
                    f"{self.name}'s model {self.model!r} is not known here: say its dimension too"
                )
            return known.default
        if not isinstance(asked, int) or asked < 1:
            raise ConfigurationError(f"{self.name}: the dimension {asked!r} is not a number above 0")
        if known is not None and asked not in known.allowed:
            raise ConfigurationError(
                f"{self.name}'s model {self.model} has no {asked} dimensions: choose of {known}"
            )
        return asked


def in_order(indexed: Iterable[tuple[int, list[float]]]) -> list[list[float]]:
    """Vectors that came with their texts' numbers. Raises KeyError when one of them is missing."""
    by_number = dict(indexed)
    return [by_number[number] for number in range(len(by_number))]

"""What the simulators of embedding vendors share: vectors, refusals, and what was asked.

A vector is made from its text, the model and, where the vendor tells them apart, the role; so a test can tell
whose it is. None has length 1, whatever a vendor promises.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from engine.providers.base import Role
from tests.vendors.simulator import VendorSimulator

CHARS_A_TOKEN = 4
"""Of English text, as vendors say: their tokenizers are not here."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was right. `role`: None where the vendor has none. `dimension`: None when not asked."""

    texts: tuple[str, ...]
    role: Role | None
    model: str
    dimension: int | None


class Refusal(Exception):
    """A request that the vendor refuses."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class EmbeddingSimulator(VendorSimulator):
    """`bend`: makes of right vectors the wrong ones that are sent. `shuffled`: send them out of order."""

    path: ClassVar[str]
    indexed: ClassVar[bool] = False
    """Whether a vector says which text it is of, so that the order is the vendor's to choose."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self.bend: Callable[[list[Any]], list[Any]] = list
        self.shuffled = False

    @abstractmethod
    def understand(self, request: Request, body: dict[str, Any]) -> Asked:
        """Raises Refusal."""

    @abstractmethod
    def answer(self, asked: Asked, vectors: list[Any]) -> dict[str, Any]: ...

    @abstractmethod
    def native_dimension(self, model: str) -> int:
        """Of a model's vectors when none is asked."""

    def routes(self) -> Iterator[BaseRoute]:
        yield Route(self.path, self._embed, methods=["POST"])

    async def _embed(self, request: Request) -> Response:
        try:
            asked = self.understand(request, await request.json())
        except Refusal as refusal:
            return self.error(refusal.status, refusal.message)
        self.asked.append(asked)
        length = asked.dimension or self.native_dimension(asked.model)
        vectors = [self.vector(text, asked.role, asked.model, length) for text in asked.texts]
        return JSONResponse(self.answer(asked, self.bend(vectors)))

    def vector(self, text: str, role: Role | None, model: str, length: int) -> list[float]:
        seed = hashlib.blake2b(f"{model}\n{role}\n{text}".encode(), digest_size=8).digest()
        numbers = np.random.default_rng(int.from_bytes(seed)).normal(size=length)
        return [round(float(number), 4) for number in numbers]

    def numbered(self, vectors: list[Any]) -> list[dict[str, Any]]:
        """Vectors as those vendors send them that number them."""
        items = [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(vectors)
        ]
        return items[1:] + items[:1] if self.shuffled else items


def only(body: dict[str, Any], *known: str) -> None:
    for name in body:
        if name not in known:
            raise Refusal(400, f"Unknown parameter: '{name}'.")


def texts_in(body: dict[str, Any], name: str, most: int) -> tuple[str, ...]:
    """The texts of a request, which are there, not empty and not too many."""
    texts = body.get(name)
    if not isinstance(texts, list) or not texts:
        raise Refusal(400, f"Missing required parameter: '{name}'.")
    if len(texts) > most:
        raise Refusal(400, f"'{name}' must have at most {most} texts, and has {len(texts)}.")
    if not all(isinstance(text, str) and text for text in texts):
        raise Refusal(400, f"'{name}' must not have empty texts.")
    return tuple(texts)


def tokens(text: str) -> int:
    return len(text) // CHARS_A_TOKEN

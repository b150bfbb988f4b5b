"""The seam to the vectors: one protocol, and the one place where a search is confined to its company.

Both implementations turn a `Scope` into their filter and their rows back through `Scope.passages`. There is
no other way to ask them for anything, and a Scope cannot be made without a company.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.config import settings
from engine.errors import ConfigurationError, DocumentError, ProtocolError
from engine.knowledge.chunk import Chunk
from engine.providers.base import Passage

COMPANY = "company_id"
DOCUMENT = "document_id"
BATCH = 64
"""Points written or deleted at once: 2 ms in the embedded index, which answers nobody meanwhile."""


@dataclass(frozen=True, slots=True)
class Space:
    """What vectors live in: those of another model, or of another length, cannot be compared."""

    model: str
    dimension: int

    def refuse_other(self, where: str, model: object, dimension: object) -> None:
        """Raises ConfigurationError when `where` was made with another model or dimension."""
        if (model, dimension) != (self.model, self.dimension):
            raise ConfigurationError(
                f"{where} holds vectors of {model} ({dimension} dimensions), not of {self.model} "
                f"({self.dimension}): go back to that model, or empty it and upload the documents again"
            )


@dataclass(frozen=True, slots=True)
class Scope:
    """One company's passages, or those of one of its documents. Raises DocumentError without a company."""

    company_id: str
    document_id: str | None = None

    def __post_init__(self) -> None:
        if not self.company_id or self.document_id == "":
            raise DocumentError("knowledge belongs to a company: name the company (and the document)")

    def conditions(self) -> dict[str, str]:
        """Payload fields and the values that they must have."""
        conditions = {COMPANY: self.company_id}
        if self.document_id is not None:
            conditions[DOCUMENT] = self.document_id
        return conditions

    def payload(self, chunk: Chunk) -> dict[str, Any]:
        return {
            COMPANY: self.company_id,
            DOCUMENT: self.document_id,
            "text": chunk.text,
            "heading": chunk.heading,
            "source": chunk.source,
            "page": chunk.page,
        }

    def passages(self, rows: Iterable[tuple[Mapping[str, Any] | None, float]]) -> list[Found]:
        """Rows of (payload, cosine) as passages. Raises ProtocolError on a row of another company."""
        found = []
        for payload, score in rows:
            if payload is None or payload.get(COMPANY) != self.company_id:
                raise ProtocolError("the vector index answered with a passage outside the company asked for")
            found.append(
                Found(
                    Passage(
                        text=payload["text"],
                        score=score,
                        source=payload["source"],
                        page=payload["page"],
                        document_id=payload[DOCUMENT],
                    ),
                    payload["heading"],
                )
            )
        return found


@dataclass(frozen=True, slots=True)
class Found:
    """A passage that a search found, with the heading it stood under. Its score is the cosine."""

    passage: Passage
    heading: str

    @property
    def context(self) -> str:
        return f"{self.heading}: {self.passage.text}" if self.heading else self.passage.text


class VectorIndex(Protocol):
    """Vectors of all companies. Raises ProviderError when the index fails, DocumentError without a company.

    A write that was acknowledged survives a crash; a cancelled one may have happened, or in part, or not.
    """

    async def upsert(
        self, company_id: str, document_id: str, passages: Sequence[Chunk], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Makes these the document's passages: writes the new ones, then removes what is left of the old."""
        ...

    async def write(
        self, company_id: str, document_id: str, passages: Sequence[Chunk], vectors: Sequence[Sequence[float]]
    ) -> None:
        """Adds these to the document's passages. They survive a crash once `keep_only` has returned."""
        ...

    async def keep_only(self, company_id: str, document_id: str, ids: Sequence[str]) -> None:
        """Removes the document's passages that have none of these ids."""
        ...

    async def search(self, company_id: str, vector: Sequence[float], limit: int) -> list[Found]:
        """The company's passages nearest to the vector, best first."""
        ...

    async def some(self, company_id: str, most: int) -> list[Found]:
        """The company's passages as they lie, all of them if there are not more than that; scores are 0."""
        ...

    async def delete_document(self, company_id: str, document_id: str) -> None: ...

    async def count(self, company_id: str) -> int:
        """How many passages the company has."""
        ...

    async def check(self) -> None:
        """Raises ProviderError when the index cannot answer."""
        ...

    async def close(self) -> None: ...


def batches(count: int) -> Iterator[slice]:
    """Slices of at most BATCH that cover `count` items."""
    return (slice(start, start + BATCH) for start in range(0, count, BATCH))


async def open_index(space: Space) -> VectorIndex:
    """The index that the settings name: the Qdrant server at `qdrant_url`, else the embedded one.

    Raises ConfigurationError when it was made for another space, is in use or is damaged; ProviderError
    when the server cannot be reached.
    """
    chosen = settings()
    if chosen.qdrant_url is None:
        from engine.knowledge.edge_index import EdgeIndex

        return await EdgeIndex.open(chosen.data_dir / "qdrant", space)
    from engine.knowledge.server_index import ServerIndex

    api_key = chosen.qdrant_api_key.get_secret_value() if chosen.qdrant_api_key else None
    return await ServerIndex.connect(chosen.qdrant_url, api_key, space)

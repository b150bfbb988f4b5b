"""The vector index on a Qdrant server or in Qdrant Cloud, through qdrant-client.

One collection holds all companies; the company is its tenant key, so that the server keeps the vectors of a
company together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from typing import TYPE_CHECKING, Self, TypeVar

from engine.errors import ConfigurationError, ProviderRejected, ProviderUnavailable
from engine.knowledge.chunk import Chunk
from engine.knowledge.index import COMPANY, DOCUMENT, Found, Scope, Space, batches

if TYPE_CHECKING:
    from qdrant_client import AsyncQdrantClient
    from qdrant_client.models import Filter

COLLECTION = "parley"
TIMEOUT_S = 5
Result = TypeVar("Result")


class ServerIndex:
    """A `VectorIndex` over a client. Made with `connect`, or with `open` around a client of one's own."""

    def __init__(self, client: AsyncQdrantClient, collection: str) -> None:
        self._client = client
        self._collection = collection
        self._writing = asyncio.Lock()

    @classmethod
    async def connect(cls, url: str, api_key: str | None, space: Space) -> Self:
        """Connects and opens. Raises ConfigurationError: of another space; ProviderError: not reached."""
        from qdrant_client import AsyncQdrantClient

        client = AsyncQdrantClient(url=url, api_key=api_key, timeout=TIMEOUT_S, check_compatibility=False)
        try:
            return await cls.open(client, space)
        except BaseException:
            await client.close()
            raise

    @classmethod
    async def open(cls, client: AsyncQdrantClient, space: Space, collection: str = COLLECTION) -> Self:
        """Uses the collection, or makes it when it is absent. Raises as `connect`."""
        index = cls(client, collection)
        if not await index._run(client.collection_exists(collection)):
            await index._create(space)
        info = await index._run(client.get_collection(collection))
        written = info.config.metadata
        if not written:
            raise ConfigurationError(
                f"the collection '{collection}' does not say which model it holds: "
                "use Qdrant 1.16 or newer, and let Parley make the collection"
            )
        where = f"the collection '{collection}'"
        space.refuse_other(where, written.get("model"), written.get("dimension"))
        return index

    async def _create(self, space: Space) -> None:
        from qdrant_client import models

        vectors = models.VectorParams(size=space.dimension, distance=models.Distance.COSINE)
        metadata = {"model": space.model, "dimension": space.dimension}
        client, name = self._client, self._collection
        try:
            await self._run(client.create_collection(name, vectors_config=vectors, metadata=metadata))
        except ProviderRejected:
            # Replicas start together: another one may have made it in between.
            if not await self._run(client.collection_exists(name)):
                raise
        for field in (COMPANY, DOCUMENT):
            schema = models.KeywordIndexParams(
                type=models.KeywordIndexType.KEYWORD, is_tenant=field == COMPANY
            )
            await self._run(client.create_payload_index(name, field, schema, wait=True))

    async def upsert(
        self, company_id: str, document_id: str, passages: Sequence[Chunk], vectors: Sequence[Sequence[float]]
    ) -> None:
        async with self._writing:
            await self._write(Scope(company_id, document_id), passages, vectors)
            await self._remove(Scope(company_id, document_id), keep=[chunk.id for chunk in passages])

    async def write(
        self, company_id: str, document_id: str, passages: Sequence[Chunk], vectors: Sequence[Sequence[float]]
    ) -> None:
        async with self._writing:
            await self._write(Scope(company_id, document_id), passages, vectors)

    async def _write(
        self, scope: Scope, passages: Sequence[Chunk], vectors: Sequence[Sequence[float]]
    ) -> None:
        from qdrant_client import models

        points = [
            models.PointStruct(id=chunk.id, vector=list(vector), payload=scope.payload(chunk))
            for chunk, vector in zip(passages, vectors, strict=True)
        ]
        for part in batches(len(points)):
            await self._run(self._client.upsert(self._collection, points[part], wait=True))

    async def keep_only(self, company_id: str, document_id: str, ids: Sequence[str]) -> None:
        async with self._writing:
            await self._remove(Scope(company_id, document_id), keep=list(ids))

    async def search(self, company_id: str, vector: Sequence[float], limit: int) -> list[Found]:
        scope = Scope(company_id)
        answer = await self._run(
            self._client.query_points(
                self._collection,
                query=list(vector),
                query_filter=_filter(scope),
                limit=limit,
                with_payload=True,
            )
        )
        return scope.passages((point.payload, point.score) for point in answer.points)

    async def some(self, company_id: str, most: int) -> list[Found]:
        scope = Scope(company_id)
        points, _ = await self._run(
            self._client.scroll(
                self._collection,
                scroll_filter=_filter(scope),
                limit=most,
                with_payload=True,
                with_vectors=False,
            )
        )
        return scope.passages((point.payload, 0.0) for point in points)

    async def delete_document(self, company_id: str, document_id: str) -> None:
        async with self._writing:
            await self._remove(Scope(company_id, document_id), keep=[])

    async def count(self, company_id: str) -> int:
        chosen = _filter(Scope(company_id))
        return (await self._run(self._client.count(self._collection, count_filter=chosen, exact=True))).count

    async def check(self) -> None:
        await self._run(self._client.get_collection(self._collection))

    async def close(self) -> None:
        await self._client.close()

    async def _remove(self, scope: Scope, *, keep: list[str]) -> None:
        from qdrant_client import models

        selector = models.FilterSelector(filter=_filter(scope, keep))
        await self._run(self._client.delete(self._collection, selector, wait=True))

    async def _run(self, call: Awaitable[Result]) -> Result:
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        try:
            return await call
        except UnexpectedResponse as error:
            status = error.status_code or 0
            kind = ProviderRejected if 400 <= status < 500 and status != 429 else ProviderUnavailable
            raise kind(
                f"Qdrant answered {status} {error.reason_phrase}: check PARLEY_QDRANT_URL and its API key",
                provider="qdrant",
            ) from error
        except ResponseHandlingException as error:
            raise ProviderUnavailable(
                f"Qdrant cannot be reached ({error.source}): check PARLEY_QDRANT_URL", provider="qdrant"
            ) from error


def _filter(scope: Scope, keep: list[str] | None = None) -> Filter:
    from qdrant_client import models

    must: list[models.Condition] = [
        models.FieldCondition(key=key, match=models.MatchValue(value=value))
        for key, value in scope.conditions().items()
    ]
    return models.Filter(must=must, must_not=[models.HasIdCondition(has_id=list(keep))] if keep else None)

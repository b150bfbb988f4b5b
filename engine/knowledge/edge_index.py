"""The vector index inside this process: Qdrant Edge, Qdrant's own engine on a folder.

One process may hold the folder. Its calls block, so one thread of the index's own makes them all: searches
first, then writes, in order; whoever calls bounds how many wait. A search reads all of its company's passages
(0.2 ms for a thousand).

A call holds Python's lock too, so while the index writes the whole process stands still: 2 ms at most for
BATCH points. What cannot be cut is `flush`, once for each document that was changed: 10 to 80 ms on an SSD.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from engine.errors import ConfigurationError, ProviderUnavailable
from engine.knowledge.chunk import Chunk
from engine.knowledge.index import BATCH, COMPANY, DOCUMENT, Found, Scope, Space, batches
from engine.providers.embeddings.callers_first import CallersFirst

Result = TypeVar("Result")


class EdgeIndex:
    """A `VectorIndex` on a folder. Made with `open`."""

    def __init__(self, thread: CallersFirst, shard: Any) -> None:
        self._thread = thread
        self._shard = shard
        self._writing = asyncio.Lock()

    @classmethod
    async def open(cls, folder: Path, space: Space) -> Self:
        """Opens the folder, or makes it. Raises ConfigurationError: in use, damaged, or of another space."""
        thread = CallersFirst("knowledge-index")
        try:
            shard = await thread.first(_open, folder, space)
        except BaseException:
            thread.close()
            raise
        return cls(thread, shard)

    async def upsert(
        self, company_id: str, document_id: str, passages: Sequence[Chunk], vectors: Sequence[Sequence[float]]
    ) -> None:
        async with self._writing:
            await self._write(Scope(company_id, document_id), passages, vectors)
            await self._remove(Scope(company_id, document_id), keep={chunk.id for chunk in passages})

    async def write(
        self, company_id: str, document_id: str, passages: Sequence[Chunk], vectors: Sequence[Sequence[float]]
    ) -> None:
        async with self._writing:
            await self._write(Scope(company_id, document_id), passages, vectors)

    async def _write(
        self, scope: Scope, passages: Sequence[Chunk], vectors: Sequence[Sequence[float]]
    ) -> None:
        from qdrant_edge import Point, UpdateOperation

        points = [
            Point(chunk.id, list(vector), scope.payload(chunk))
            for chunk, vector in zip(passages, vectors, strict=True)
        ]
        for part in batches(len(points)):
            await self._change(self._shard.update, UpdateOperation.upsert_points(points[part]))

    async def keep_only(self, company_id: str, document_id: str, ids: Sequence[str]) -> None:
        async with self._writing:
            await self._remove(Scope(company_id, document_id), keep=set(ids))

    async def search(self, company_id: str, vector: Sequence[float], limit: int) -> list[Found]:
        from qdrant_edge import Query, QueryRequest

        scope = Scope(company_id)
        request = QueryRequest(
            limit=limit, query=Query.Nearest(list(vector)), filter=_filter(scope), with_payload=True
        )
        points = await self._ask(self._shard.query, request)
        return scope.passages((point.payload, point.score) for point in points)

    async def some(self, company_id: str, most: int) -> list[Found]:
        from qdrant_edge import ScrollRequest

        scope = Scope(company_id)
        request = ScrollRequest(limit=most, filter=_filter(scope), with_payload=True, with_vector=False)
        points, _ = await self._ask(self._shard.scroll, request)
        return scope.passages((point.payload, 0.0) for point in points)

    async def delete_document(self, company_id: str, document_id: str) -> None:
        async with self._writing:
            await self._remove(Scope(company_id, document_id), keep=set())

    async def count(self, company_id: str) -> int:
        from qdrant_edge import CountRequest

        return int(await self._ask(self._shard.count, CountRequest(filter=_filter(Scope(company_id)))))

    async def check(self) -> None:
        await self._ask(self._shard.info)

    async def close(self) -> None:
        await self._change(self._shard.close)
        self._thread.close()

    async def _remove(self, scope: Scope, *, keep: set[str]) -> None:
        """Deletes in parts, as one filter over a long document would hold up searches for all of it."""
        from qdrant_edge import ScrollRequest, UpdateOperation

        here = None
        while True:
            request = ScrollRequest(
                offset=here, limit=BATCH, filter=_filter(scope), with_payload=False, with_vector=False
            )
            points, here = await self._change(self._shard.scroll, request)
            gone = [point.id for point in points if str(point.id) not in keep]
            if gone:
                await self._change(self._shard.update, UpdateOperation.delete_points(gone))
            if here is None:
                break
        await self._change(self._shard.flush)

    async def _ask(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """For a caller."""
        with _mapped_errors():
            return await self._thread.first(call, *arguments)

    async def _change(self, call: Callable[..., Result], *arguments: Any) -> Result:
        """For a document."""
        with _mapped_errors():
            return await self._thread.later(call, *arguments)


@contextmanager
def _mapped_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # the engine raises nothing more precise
        raise ProviderUnavailable(
            f"the knowledge index failed: {_line(error)}", provider="qdrant-edge"
        ) from error


def _filter(scope: Scope) -> Any:
    from qdrant_edge import FieldCondition, Filter, MatchValue

    return Filter(
        must=[FieldCondition(key=key, match=MatchValue(value)) for key, value in scope.conditions().items()]
    )


def _open(folder: Path, space: Space) -> Any:
    from qdrant_edge import Distance, EdgeConfig, EdgeShard, EdgeVectorParams

    shard_folder = folder / "shard"
    _claim(folder, space)
    # One search thread: a search is over in less time than it takes to share it out.
    config = EdgeConfig(
        vectors=EdgeVectorParams(size=space.dimension, distance=Distance.Cosine), max_search_threads=1
    )
    try:
        if any(shard_folder.glob("segments/*")):
            return EdgeShard.load(str(shard_folder), config)
        shard_folder.mkdir(exist_ok=True)
        shard = EdgeShard.create(str(shard_folder), config)
        _index_payload(shard)
        return shard
    except Exception as error:
        if "WouldBlock" in str(error):
            raise ConfigurationError(
                f"the knowledge index in {folder} is in use by another process: "
                "stop that process, or use a Qdrant server (PARLEY_QDRANT_URL)"
            ) from error
        raise _damaged(folder, error) from error


def _index_payload(shard: Any) -> None:
    from qdrant_edge import KeywordIndexParams, UpdateOperation

    for field in (COMPANY, DOCUMENT):
        params = KeywordIndexParams(is_tenant=field == COMPANY)
        shard.update(UpdateOperation.create_field_index(field, params))
    shard.flush()


def _claim(folder: Path, space: Space) -> None:
    """Writes down what the folder holds, or checks it against what was written."""
    label = folder / "space.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if label.exists():
            written = json.loads(label.read_text())
            space.refuse_other(f"the knowledge index in {folder}", written["model"], written["dimension"])
            return
        if (folder / "shard").exists():
            raise _damaged(folder, FileNotFoundError("space.json is missing"))
        fresh = label.with_suffix(".new")
        fresh.write_text(json.dumps({"model": space.model, "dimension": space.dimension}))
        os.replace(fresh, label)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise _damaged(folder, error) from error


def _damaged(folder: Path, error: Exception) -> ConfigurationError:
    return ConfigurationError(
        f"the knowledge index in {folder} cannot be opened ({_line(error)}): "
        "restore it from a backup, or remove the folder and upload the documents again"
    )


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__

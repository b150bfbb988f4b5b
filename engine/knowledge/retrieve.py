"""Documents in, answering passages out.

The score that decides whether the agent answers or says that it does not know is the mean of two: how near
the passage is to the question (cosine), and how much of what is asked it mentions (`coverage`). The
numbers that this rests on are made by `bench.retrieval`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from weakref import WeakValueDictionary

from engine.errors import DocumentError, ProviderError
from engine.knowledge.chunk import Document, chunk
from engine.knowledge.coverage import coverage
from engine.knowledge.index import Found, VectorIndex
from engine.providers.base import Embedder, Passage

log = logging.getLogger("parley.knowledge")

Progress = Callable[[int, int], Awaitable[None]]
"""Told how many passages are done, of how many."""
CANDIDATES = 16
"""Nearest passages that are looked at for each search."""
COVERAGE_WEIGHT = 0.5
NO_CONTENT = 0.6
"""Stands in for coverage where there is none to measure; cosine alone then decides."""
EMBED_BATCH = 32
"""Passages embedded and written at once, a request to a vendor. What is local cuts them smaller by itself."""
MAX_QUERY_CHARS = 1000
EMBED_S = 1.0
"""Longer, and the words alone decide: whoever asks waits for two seconds at most."""
MOST_BY_WORDS = 5_000
"""Passages whose words are looked at."""
ASSUMED_COSINE = 0.3
"""Stands in for nearness where there are no vectors: most of what is asked has to be in the passage then."""


class Retriever:
    """Searches and fills an index by means of an embedder. Raises what those raise, and DocumentError."""

    def __init__(self, embedder: Embedder, index: VectorIndex) -> None:
        self._embedder = embedder
        self._index = index
        # Held by those that use them alone, so that no document leaves a lock behind.
        self._changing: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def search(
        self, company_id: str, query: str, limit: int = 2, *, language: str = "en"
    ) -> list[Passage]:
        """The company's passages that answer best, best first; at most `limit`, none for an empty query.

        A passage's score is between -0.5 and 1: one below the agent's `min_score` does not answer.
        """
        # What is asked comes last, so a rambling query keeps its end.
        query = query.strip()[-MAX_QUERY_CHARS:]
        if not query or limit < 1:
            return []
        try:
            async with asyncio.timeout(EMBED_S):
                [vector] = await self._embedder.embed([query], role="query")
        except (ProviderError, TimeoutError) as error:
            log.warning("the embedder fails (%s): passages are found by their words", error or "timeout")
            return await self._by_words(company_id, query, limit, language)
        found = await self._index.search(company_id, vector, max(limit, CANDIDATES))
        return rank(query, found, language=language)[:limit]

    async def _by_words(self, company_id: str, query: str, limit: int, language: str) -> list[Passage]:
        """Without a vector: the passages with the words of the question."""
        if not language.lower().startswith("en"):
            return []
        found = await self._index.some(company_id, MOST_BY_WORDS)
        near = [replace(each, passage=replace(each.passage, score=ASSUMED_COSINE)) for each in found]
        ranked = await asyncio.to_thread(rank, query, near, language=language)
        return ranked[:limit]

    async def ingest(self, company_id: str, document_id: str, source: str, text: str) -> int:
        """Makes `text` the content of the document and returns its number of passages.

        Raises DocumentError when there is nothing to read in it.
        """
        return await self.ingest_document(Document.from_text(company_id, document_id, source, text))

    async def ingest_document(self, document: Document, on_progress: Progress | None = None) -> int:
        """As `ingest`, for a document whose pages have been read already; tells (done, total) as it goes.

        One that dies half way leaves new passages beside old ones; the same again makes it whole. Two of
        one document wait for each other, and so does `delete`.
        """
        # Pure, but seconds of it for a book.
        chunks = await asyncio.to_thread(chunk, document)
        if not chunks:
            raise DocumentError(
                f"'{document.source}' holds no text: upload a document with something to read"
            )
        company_id, document_id = document.company_id, document.document_id
        async with self._alone(company_id, document_id):
            for start in range(0, len(chunks), EMBED_BATCH):
                part = chunks[start : start + EMBED_BATCH]
                vectors = await self._embedder.embed([each.context for each in part], role="document")
                await self._index.write(company_id, document_id, part, vectors)
                if on_progress:
                    await on_progress(start + len(part), len(chunks))
            await self._index.keep_only(company_id, document_id, [each.id for each in chunks])
        return len(chunks)

    async def delete(self, company_id: str, document_id: str) -> None:
        """Forgets the document; nothing happens when there is none."""
        async with self._alone(company_id, document_id):
            await self._index.delete_document(company_id, document_id)

    def _alone(self, company_id: str, document_id: str) -> asyncio.Lock:
        return self._changing.setdefault((company_id, document_id), asyncio.Lock())


def rank(query: str, found: Sequence[Found], *, language: str = "en") -> list[Passage]:
    """What the index found, scored by nearness and coverage, best first."""
    shares = None
    if language.lower().startswith("en"):
        shares = coverage(query, [each.context for each in found])
    scored = [
        replace(
            each.passage,
            score=(1 - COVERAGE_WEIGHT) * each.passage.score
            + COVERAGE_WEIGHT * (shares[number] if shares is not None else NO_CONTENT),
        )
        for number, each in enumerate(found)
    ]
    return sorted(scored, key=lambda passage: passage.score, reverse=True)

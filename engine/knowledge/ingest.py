"""Uploads become passages: one document after the other, each with its state in the store.

What a crash leaves half done is begun again at the next start: a document keeps the state that it is in, its
upload stays on disk, and writing the same passages twice changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from engine.errors import DocumentError, ParleyError, ProviderUnavailable
from engine.knowledge.chunk import Document
from engine.knowledge.parse.limits import ParsedDocument
from engine.knowledge.retrieve import Progress
from engine.store import Page, Stale, Store
from engine.store.documents import COMPANIES, KNOWLEDGE, MAX_PAGE
from models import KnowledgeDocument

log = logging.getLogger("parley.ingest")

Read = Callable[[Path, str], Awaitable[ParsedDocument]]
"""(file, name) -> its text. Raises DocumentError for what cannot be read."""
Write = Callable[[Document, Progress], Awaitable[int]]
"""Makes these the document's passages and returns their number; reports (done, of)."""
Forget = Callable[[str, str], Awaitable[None]]
"""Removes the passages of (company, document)."""

MAX_WAITING = 1_000
UNFINISHED = ("waiting", "reading", "embedding")


def upload_path(folder: Path, company_id: str, document_id: str) -> Path:
    """Where a document's bytes are. Both ids are ours, never a file name of somebody's."""
    return folder / "uploads" / company_id / document_id


class Ingestor:
    """Owns one worker task from `start` to `close`."""

    def __init__(self, store: Store, folder: Path, read: Read, write: Write, forget: Forget) -> None:
        self._store = store
        self._folder = folder
        self._read = read
        self._write = write
        self._forget = forget
        self._queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue(MAX_WAITING)
        self._worker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to work, first on what was not finished before."""
        for company in await self._companies():
            for status in UNFINISHED:
                found = await self._store.documents.find(
                    KNOWLEDGE, company, {"status": status}, Page(limit=MAX_PAGE)
                )
                for document in found:
                    self.add(company, document.id)
        self._worker = asyncio.create_task(self._work(), name="ingest")

    def add(self, company_id: str, document_id: str) -> None:
        """Read this document when its turn comes. Raises ProviderUnavailable when too many wait."""
        try:
            self._queue.put_nowait((company_id, document_id))
        except asyncio.QueueFull:
            raise ProviderUnavailable(
                f"{MAX_WAITING} documents wait to be read: try again later", provider="knowledge"
            ) from None

    async def idle(self) -> None:
        """Until everything that was added is done."""
        await self._queue.join()

    async def close(self) -> None:
        """Stop; a document under way is begun again at the next start."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)

    async def _companies(self) -> list[str]:
        ids: list[str] = []
        page = Page(limit=MAX_PAGE)
        while found := await self._store.documents.find(COMPANIES, None, {}, page):
            ids += [company.id for company in found]
            page = Page(before=found[-1].id, limit=MAX_PAGE)
        return ids

    async def _work(self) -> None:
        while True:
            company_id, document_id = await self._queue.get()
            try:
                await self._ingest(company_id, document_id)
            except ParleyError as error:
                # The database is in trouble: the state stays, so the next start tries again.
                log.error("document %s of %s: %s", document_id, company_id, error)
            finally:
                self._queue.task_done()

    async def _ingest(self, company_id: str, document_id: str) -> None:
        """One document, unless it was deleted, finished, or replaced by another upload meanwhile."""
        document = await self._store.documents.get(KNOWLEDGE, company_id, document_id)
        if document is None or document.status not in UNFINISHED:
            return
        try:
            await self._take(document)
        except Stale:
            if await self._store.documents.get(KNOWLEDGE, company_id, document_id) is None:
                await self._forget(company_id, document_id)
            else:
                log.info("document %s was uploaded again meanwhile", document_id)
                self.add(company_id, document_id)

    async def _take(self, document: KnowledgeDocument) -> None:
        state = _State(self._store, document)
        try:
            await state.put(status="reading", error=None, passages_done=0)
            path = upload_path(self._folder, document.company_id, document.id)
            pages = (await self._read(path, document.name)).pages
            numbered = [number for number, _ in pages if number is not None]
            await state.put(status="embedding", pages=max(numbered, default=None))
            readable = Document(document.company_id, document.id, document.name, pages)
            passages = await self._write(readable, state.progress)
            await state.put(status="ready", passages=passages, passages_done=passages)
        except Stale:
            raise
        except DocumentError as error:
            await state.put(status="failed", error=str(error))
        except ParleyError as error:
            log.error("document %s: %s", document.id, error)
            await state.put(status="failed", error="it could not be indexed: try again with 'reprocess'")


class _State:
    """The document as this worker last wrote it. Raises Stale when somebody else wrote."""

    def __init__(self, store: Store, document: KnowledgeDocument) -> None:
        self._store = store
        self._document = document

    async def put(self, **fields: Any) -> None:
        changed = self._document.model_copy(update=fields)
        self._document = await self._store.documents.replace(KNOWLEDGE, changed)

    async def progress(self, done: int, of: int) -> None:
        await self.put(passages_done=done, passages=of)

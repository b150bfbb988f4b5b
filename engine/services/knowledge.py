"""What a company uploads, and what is found in it."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from engine.knowledge.ingest import upload_path
from engine.knowledge.parse.kind import SUFFIXES
from engine.knowledge.parse.limits import MIB, Limits
from engine.providers.base import Passage
from engine.services.access import Access, InvalidField, NotFound, TooLarge
from engine.store import Page, Stale, Store, Taken
from engine.store.documents import KNOWLEDGE
from models import KnowledgeDocument, new_id

LARGEST = Limits().file_bytes
TRIES = 10


class KnowledgeBackend(Protocol):
    """The knowledge application. Every method may raise ProviderUnavailable."""

    async def ingest(self, company_id: str, document_id: str) -> None:
        """Begin to read an upload."""
        ...

    async def forget(self, company_id: str, document_id: str) -> None:
        """Remove a document's passages."""
        ...

    async def search(self, company_id: str, query: str, limit: int) -> Sequence[Passage]: ...


@dataclass(frozen=True, slots=True)
class _Received:
    size: int
    sha256: str


class Knowledge:
    def __init__(self, store: Store, folder: Path, backend: KnowledgeBackend) -> None:
        self._store = store
        self._folder = folder
        self._backend = backend

    async def list(self, access: Access, page: Page) -> Sequence[KnowledgeDocument]:
        return await self._store.documents.find(KNOWLEDGE, access.company_id, {}, page)

    async def get(self, access: Access, document_id: str) -> KnowledgeDocument:
        """Raises NotFound."""
        document = await self._store.documents.get(KNOWLEDGE, access.company_id, document_id)
        if document is None:
            raise NotFound(f"there is no document {document_id}")
        return document

    async def upload(self, access: Access, name: str, body: AsyncIterator[bytes]) -> KnowledgeDocument:
        """Keep a file and begin to read it; one of the same name is replaced.

        Raises InvalidField for a type that cannot be read and for nothing, TooLarge.
        """
        kind = SUFFIXES.get(Path(name).suffix.lower())
        if kind is None:
            raise InvalidField("name", f"its ending must be one of {', '.join(SUFFIXES)}")
        there = await self._store.documents.find(KNOWLEDGE, access.company_id, {"name": name}, Page(limit=1))
        document_id = there[0].id if there else new_id("doc")
        path = upload_path(self._folder, access.company_id, document_id)
        received = await _receive(path, body)
        document = KnowledgeDocument(
            id=document_id,
            company_id=access.company_id,
            name=name,
            media_type=kind.value,
            size_bytes=received.size,
            sha256=received.sha256,
        )
        document = await self._put(document, there[0] if there else None)
        await self._backend.ingest(access.company_id, document.id)
        return document

    async def reprocess(self, access: Access, document_id: str) -> KnowledgeDocument:
        """Read it once more. Raises NotFound, Stale."""
        document = await self.get(access, document_id)
        again = document.model_copy(update={"status": "waiting", "error": None})
        again = await self._store.documents.replace(KNOWLEDGE, again)
        await self._backend.ingest(access.company_id, document_id)
        return again

    async def delete(self, access: Access, document_id: str) -> None:
        """The document, its passages and its file. What fails half way is deleted by asking again."""
        await self.get(access, document_id)
        await self._backend.forget(access.company_id, document_id)
        path = upload_path(self._folder, access.company_id, document_id)
        await asyncio.to_thread(path.unlink, missing_ok=True)
        await self._store.documents.delete(KNOWLEDGE, access.company_id, document_id)

    async def search(self, access: Access, query: str, limit: int) -> Sequence[Passage]:
        return await self._backend.search(access.company_id, query, limit)

    async def _put(self, document: KnowledgeDocument, there: KnowledgeDocument | None) -> KnowledgeDocument:
        if there is None:
            try:
                await self._store.documents.insert(KNOWLEDGE, document)
            except Taken:
                path = upload_path(self._folder, document.company_id, document.id)
                await asyncio.to_thread(path.unlink, missing_ok=True)
                raise
            return document
        # The file is in its place already, and its state changes while the one before is read: whatever the
        # record is by now, this upload is the newest.
        for _ in range(TRIES):
            newest = await self._store.documents.get(KNOWLEDGE, document.company_id, there.id)
            if newest is None:
                raise Stale(f"{document.name} was deleted meanwhile: upload it again")
            fresh = document.model_copy(update={"version": newest.version, "created_at": there.created_at})
            try:
                return await self._store.documents.replace(KNOWLEDGE, fresh)
            except Stale:
                continue
        raise Stale(f"{document.name} is being changed by others: upload it again")


async def _receive(path: Path, body: AsyncIterator[bytes]) -> _Received:
    """Write an upload beside its place, and move it there when it is whole."""
    part = path.with_name(f"{path.name}.{new_id('part')}")
    await asyncio.to_thread(path.parent.mkdir, mode=0o700, parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    file = await asyncio.to_thread(part.open, "xb")
    try:
        async for block in body:
            size += len(block)
            if size > LARGEST:
                raise TooLarge(f"a document has at most {LARGEST // MIB} MiB: split it")
            digest.update(block)
            await asyncio.to_thread(file.write, block)
        if not size:
            raise InvalidField("body", "the document is empty")
        await asyncio.to_thread(file.close)
        await asyncio.to_thread(os.replace, part, path)
    finally:
        file.close()
        part.unlink(missing_ok=True)
    return _Received(size, digest.hexdigest())

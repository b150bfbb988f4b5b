"""Uploads become passages, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import DocumentError, ProviderUnavailable
from engine.knowledge.chunk import Document
from engine.knowledge.ingest import MAX_WAITING, Ingestor, upload_path
from engine.knowledge.parse.limits import ParsedDocument
from engine.knowledge.retrieve import Progress
from engine.store import Store, put_company
from engine.store.documents import KNOWLEDGE
from models import Company, KnowledgeDocument, new_id


class Desk:
    """Reads by what the file says, and keeps what was written."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.folder = folder
        self.written: dict[str, Document] = {}
        self.forgotten: list[tuple[str, str]] = []
        self.before_writing: Callable[[], object] | None = None
        self.reading = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    def ingestor(self) -> Ingestor:
        return Ingestor(self.store, self.folder, self.read, self.write, self.forget)

    async def upload(self, text: str, name: str = "prices.txt") -> KnowledgeDocument:
        document = KnowledgeDocument(
            id=new_id("doc"), company_id="acme", name=name, media_type="text/plain", size_bytes=1, sha256="0"
        )
        path = upload_path(self.folder, "acme", document.id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        await self.store.documents.insert(KNOWLEDGE, document)
        return document

    async def stored(self, document: KnowledgeDocument) -> KnowledgeDocument | None:
        return await self.store.documents.get(KNOWLEDGE, "acme", document.id)

    async def read(self, path: Path, name: str) -> ParsedDocument:
        self.reading.set()
        await self.go_on.wait()
        text = await asyncio.to_thread(path.read_text)
        if text == "locked":
            raise DocumentError(f"'{name}' is protected by a password: upload it without one")
        if text == "no model":
            raise ProviderUnavailable("no model", provider="embeddings")
        return ParsedDocument(((1, text), (2, text)), "text/plain")

    async def write(self, document: Document, progress: Progress) -> int:
        await progress(1, 2)
        if self.before_writing is not None:
            self.before_writing()
        self.written[document.document_id] = document
        return 2

    async def forget(self, company_id: str, document_id: str) -> None:
        self.forgotten.append((company_id, document_id))


@pytest.fixture
async def desk(store: Store, tmp_path: Path) -> Desk:
    await put_company(store, Company(id="acme", name="Acme"))
    return Desk(store, tmp_path)


async def settle(desk: Desk, *documents: KnowledgeDocument) -> None:
    ingestor = desk.ingestor()
    await ingestor.start()
    for document in documents:
        ingestor.add("acme", document.id)
    await ingestor.idle()
    await ingestor.close()


async def test_an_upload_becomes_ready(desk: Desk) -> None:
    document = await desk.upload("A cleaning costs 85 dollars.")
    await settle(desk, document)
    stored = await desk.stored(document)
    assert stored is not None
    assert (stored.status, stored.pages, stored.passages, stored.passages_done) == ("ready", 2, 2, 2)
    assert desk.written[document.id].source == "prices.txt"


async def test_what_cannot_be_read_says_why_and_hurts_no_other(desk: Desk) -> None:
    locked, broken, fine = [await desk.upload(text, text) for text in ("locked", "no model", "fine")]
    await settle(desk, locked, broken, fine)
    states = [await desk.stored(document) for document in (locked, broken, fine)]
    assert [state.status for state in states if state] == ["failed", "failed", "ready"]
    assert [state.error for state in states if state] == [
        "'locked' is protected by a password: upload it without one",
        "it could not be indexed: try again with 'reprocess'",
        None,
    ]


async def test_an_ingest_that_dies_half_way_is_done_at_the_next_start(desk: Desk) -> None:
    document = await desk.upload("text")
    desk.go_on.clear()
    first = desk.ingestor()
    await first.start()
    await desk.reading.wait()
    await first.close()
    state = await desk.stored(document)
    assert state is not None
    assert state.status == "reading"
    desk.go_on.set()
    await settle(desk)
    state = await desk.stored(document)
    assert state is not None
    assert state.status == "ready"


async def test_a_document_that_is_deleted_meanwhile_leaves_no_passages(desk: Desk) -> None:
    document = await desk.upload("text")
    desk.go_on.clear()
    ingestor = desk.ingestor()
    await ingestor.start()
    await desk.reading.wait()
    await desk.store.documents.delete(KNOWLEDGE, "acme", document.id)
    desk.go_on.set()
    await ingestor.idle()
    await ingestor.close()
    assert desk.forgotten == [("acme", document.id)]


async def test_a_document_that_is_uploaded_again_meanwhile_is_read_again(desk: Desk) -> None:
    document = await desk.upload("old")
    desk.go_on.clear()
    ingestor = desk.ingestor()
    await ingestor.start()
    await desk.reading.wait()
    state = await desk.stored(document)
    assert state is not None
    upload_path(desk.folder, "acme", document.id).write_text("new")
    await desk.store.documents.replace(KNOWLEDGE, state.model_copy(update={"status": "waiting"}))
    desk.go_on.set()
    await ingestor.idle()
    await ingestor.close()
    state = await desk.stored(document)
    assert state is not None
    assert state.status == "ready"
    assert desk.written[document.id].pages[0] == (1, "new")


async def test_the_queue_is_bounded(desk: Desk) -> None:
    ingestor = desk.ingestor()
    for number in range(MAX_WAITING):
        ingestor.add("acme", f"doc_{number}")
    with pytest.raises(ProviderUnavailable, match="try again later"):
        ingestor.add("acme", "doc_more")

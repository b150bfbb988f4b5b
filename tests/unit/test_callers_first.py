"""Callers' queries and uploads on one thread: who is served when, without a clock."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.errors import ProviderUnavailable
from engine.knowledge import edge_index
from engine.knowledge.chunk import Chunk
from engine.knowledge.edge_index import EdgeIndex
from engine.knowledge.index import Space
from engine.knowledge.retrieve import EMBED_BATCH, Retriever
from engine.providers.embeddings import sentence_transformer
from engine.providers.embeddings.callers_first import CallersFirst
from engine.providers.embeddings.sentence_transformer import PIECE_CHARS, SentenceTransformerEmbedder

DOORS = "\n\n".join(f"Door number {number} is on floor {number // 9}." for number in range(40))
GATES = DOORS.replace("Door", "Gate")


class Gate:
    """The first work that comes to it waits until it is opened; notes what came, in order."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self._entered, self._open = threading.Event(), threading.Event()

    def pass_through(self, what: Any) -> Any:
        self.seen.append(what)
        self._entered.set()
        assert self._open.wait(30)
        return what

    async def taken(self) -> None:
        assert await asyncio.to_thread(self._entered.wait, 30)

    def open(self) -> None:
        self._open.set()

    def open_soon(self) -> None:
        """When the tasks that were just made have come as far as they can."""
        asyncio.get_running_loop().call_soon(self._open.set)


class Model(Gate):
    """As much of a sentence-transformer as the embedder asks for."""

    prompts: dict[str, str] = {}  # noqa: RUF012

    def get_embedding_dimension(self) -> int:
        return 4

    def encode(self, texts: list[str], **_: Any) -> list[list[float]]:
        self.pass_through(texts)
        return [[1.0, float(len(text)), 0.0, 0.0] for text in texts]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    model = Model()
    monkeypatch.setattr(sentence_transformer, "_load", lambda folder, device, threads: model)
    return model


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one: a disk makes every flush wait."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
async def retriever(model: Model, place: Path) -> AsyncIterator[Retriever]:
    embedder = SentenceTransformerEmbedder(Path("model"))
    index = await EdgeIndex.open(place, Space("model", 4))
    yield Retriever(embedder, index)
    await index.close()
    embedder.close()


async def test_a_callers_query_waits_for_one_piece_of_the_uploads_at_most(
    retriever: Retriever, model: Model
) -> None:
    """Two uploads, one of which has the thread while the other waits for it."""
    uploads = [
        asyncio.create_task(retriever.ingest("acme", name, f"{name}.txt", text))
        for name, text in (("doors", DOORS), ("gates", GATES))
    ]
    await model.taken()
    query = asyncio.create_task(retriever.search("acme", "Where is door 7?"))
    model.open_soon()
    await query
    assert not any(upload.done() for upload in uploads)
    assert await asyncio.gather(*uploads) == [40, 40]
    pieces = [piece for piece in model.seen if piece != ["Where is door 7?"]]
    # What was under way when the query came, and nothing else.
    assert model.seen.index(["Where is door 7?"]) == 1
    assert max(sum(map(len, piece)) for piece in pieces) <= PIECE_CHARS
    assert max(map(len, pieces)) < EMBED_BATCH / 2
    assert sum(len(piece) for piece in pieces) == 80


async def test_vectors_come_in_the_order_of_the_texts(model: Model) -> None:
    model.open()
    embedder = SentenceTransformerEmbedder(Path("model"))
    texts = ["a" * length for length in (390, 5, 10, PIECE_CHARS + 1, 3)]
    vectors = await embedder.embed(texts, role="document")
    assert [vector[1] for vector in vectors] == [len(text) for text in texts]
    assert [len(piece) for piece in model.seen] == [2, 1, 1, 1]
    assert await embedder.embed([], role="document") == []
    embedder.close()


class Shard:
    """As much of Qdrant Edge's shard as a search and a write ask for."""

    def __init__(self) -> None:
        self.gate = Gate()

    def query(self, request: object) -> list[Any]:
        self.gate.pass_through("search")
        return []

    def update(self, operation: object) -> None:
        self.gate.pass_through("write")


async def test_a_search_goes_before_a_write_that_came_earlier() -> None:
    shard = Shard()
    index = EdgeIndex(CallersFirst("index"), shard)
    passage = Chunk("6f1d3c1e-6f0e-5a53-9d0c-6c0b7a4f1a55", 0, "Parking is free.", "", "a.txt", None)
    under_way = asyncio.create_task(index.search("acme", [1.0], 1))
    await shard.gate.taken()
    write = asyncio.create_task(index.write("acme", "doc", [passage], [[1.0]]))
    search = asyncio.create_task(index.search("acme", [1.0], 1))
    shard.gate.open_soon()
    await asyncio.gather(under_way, write, search)
    assert shard.gate.seen == ["search", "search", "write"]


async def test_what_is_left_of_a_long_document_is_removed_in_parts(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge_index, "BATCH", 3)
    index = await EdgeIndex.open(place, Space("model", 4))

    def passages(document: str, count: int) -> Sequence[Chunk]:
        ids = [f"{document}0000000-0000-0000-0000-{number:012}" for number in range(count)]
        return [Chunk(each, number, each, "", "a.txt", None) for number, each in enumerate(ids)]

    for document in "ab":
        await index.write("acme", document, passages(document, 11), [[1.0, 0.0, 0.0, 0.0]] * 11)
    kept = [each.id for each in passages("a", 11) if each.index in (0, 4, 10)]
    await index.keep_only("acme", "a", kept)
    left = await index.search("acme", [1.0, 0.0, 0.0, 0.0], 100)
    assert sorted(each.passage.text for each in left) == kept + [each.id for each in passages("b", 11)]
    await index.delete_document("acme", "b")
    assert await index.count("acme") == 3
    await index.close()


async def test_work_that_is_cancelled_while_it_waits_is_never_begun() -> None:
    gate, thread = Gate(), CallersFirst("test")
    begun = asyncio.create_task(thread.first(gate.pass_through, "begun"))
    await gate.taken()
    waits = [asyncio.create_task(thread.later(gate.pass_through, name)) for name in ("leaves", "stays")]
    begun.cancel()
    waits[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await begun
    assert gate.seen == ["begun"]
    # The thread is not free before it has ended what it began.
    gate.open()
    assert await waits[1] == "stays"
    assert gate.seen == ["begun", "stays"]
    assert await thread.first(len, "three") == 5
    thread.close()


async def test_work_that_fails_leaves_the_thread_to_the_next() -> None:
    thread = CallersFirst("test")
    with pytest.raises(ZeroDivisionError):
        await thread.first(divmod, 1, 0)
    assert await thread.later(divmod, 7, 2) == (3, 1)
    thread.close()


async def test_closing_cancels_what_waits() -> None:
    gate, thread = Gate(), CallersFirst("test")
    begun = asyncio.create_task(thread.later(gate.pass_through, "begun"))
    await gate.taken()
    waits = asyncio.create_task(thread.first(gate.pass_through, "waits"))
    asyncio.get_running_loop().call_soon(thread.close)
    gate.open_soon()
    assert await begun == "begun"
    with pytest.raises(asyncio.CancelledError):
        await waits
    assert gate.seen == ["begun"]


async def test_a_closed_index_says_so(place: Path) -> None:
    index = await EdgeIndex.open(place, Space("model", 4))
    await index.close()
    for _ in range(2):
        with pytest.raises(ProviderUnavailable):
            await index.check()

"""The retriever over the real index, with an embedder of counted words."""

import asyncio
import os
import re
import tempfile
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Literal

import pytest

from engine import demo
from engine.demo.agent import MIN_SCORE
from engine.errors import DocumentError, ProviderUnavailable
from engine.knowledge import retrieve
from engine.knowledge.chunk import Document
from engine.knowledge.edge_index import EdgeIndex
from engine.knowledge.index import Found, Space
from engine.knowledge.retrieve import EMBED_BATCH, Retriever, rank
from engine.providers.base import Passage

DIMENSION = 256


class WordCounts:
    """An `Embedder` that counts words (and their beginnings): near is what shares words."""

    def __init__(self) -> None:
        self.largest = 0

    @property
    def dimension(self) -> int:
        return DIMENSION

    @property
    def space(self) -> str:
        return "words"

    async def embed(self, texts: Sequence[str], *, role: Literal["query", "document"]) -> list[list[float]]:
        self.largest = max(self.largest, len(texts))
        return [self._count(text) for text in texts]

    def _count(self, text: str) -> list[float]:
        counts = [0.01] * DIMENSION
        for word in re.findall(r"\w+", text.lower()):
            counts[zlib.crc32(word[:4].encode()) % DIMENSION] += len(word) / 4
        return counts


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one: a disk makes every flush wait."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture
async def retriever(place: Path) -> AsyncIterator[Retriever]:
    index = await EdgeIndex.open(place, Space("word-counts", DIMENSION))
    yield Retriever(WordCounts(), index)
    await index.close()


async def test_the_demo_page_answers(retriever: Retriever) -> None:
    assert await retriever.ingest("demo", "page", "clinic.txt", demo.knowledge()) >= 15
    best, *rest = await retriever.search("demo", "How much is a check-up?", 2)
    assert best.text == "A check-up costs 60 dollars."
    assert (best.source, best.document_id) == ("clinic.txt", "page")
    assert len(rest) == 1
    assert best.score >= rest[0].score


async def test_swapping_the_page_swaps_the_answers(retriever: Retriever) -> None:
    await retriever.ingest("demo", "page", "clinic.txt", demo.knowledge("clinic"))
    await retriever.ingest("demo", "page", "garden.txt", demo.knowledge("garden"))
    best = (await retriever.search("demo", "What is your address?", 1))[0]
    assert "220 Station Road" in best.text
    await retriever.delete("demo", "page")
    assert await retriever.search("demo", "What is your address?", 1) == []


async def test_nothing_asked_nothing_found(retriever: Retriever) -> None:
    await retriever.ingest("demo", "page", "clinic.txt", demo.knowledge())
    assert await retriever.search("demo", "  ", 2) == []
    assert await retriever.search("demo", "parking", 0) == []
    assert await retriever.search("other", "parking", 2) == []


async def test_an_unreadable_upload_leaves_the_old_one(retriever: Retriever) -> None:
    await retriever.ingest("demo", "page", "clinic.txt", "Parking is free.")
    with pytest.raises(DocumentError, match="holds no text"):
        await retriever.ingest("demo", "page", "clinic.txt", "\n")
    assert len(await retriever.search("demo", "parking", 2)) == 1


async def test_a_long_document_is_embedded_in_parts(place: Path) -> None:
    embedder = WordCounts()
    index = await EdgeIndex.open(place, Space("word-counts", DIMENSION))
    text = "\n\n".join(f"Room number {number} is on floor {number // 9}." for number in range(100))
    assert await Retriever(embedder, index).ingest("demo", "rooms", "rooms.txt", text) == 100
    assert embedder.largest == EMBED_BATCH
    assert await index.count("demo") == 100
    await index.close()


ROOMS = [f"Room number {number} is on floor {number // 9}." for number in range(100)]


async def test_progress_is_told_and_pages_are_kept(retriever: Retriever) -> None:
    told: list[tuple[int, int]] = []

    async def tell(done: int, total: int) -> None:
        told.append((done, total))

    pages = tuple((number, text) for number, text in enumerate(ROOMS, 1))
    assert await retriever.ingest_document(Document("demo", "rooms", "rooms.pdf", pages), tell) == 100
    assert told == [(32, 100), (64, 100), (96, 100), (100, 100)]
    [best] = await retriever.search("demo", "Where is room number 70?", 1)
    assert best.page is not None
    assert best.text == ROOMS[best.page - 1]


async def test_an_ingest_that_died_half_way_is_made_whole_by_the_next(place: Path) -> None:
    index = await EdgeIndex.open(place, Space("word-counts", DIMENSION))
    retriever = Retriever(WordCounts(), index)
    old = [f"Garden number {number} is green all year." for number in range(150)]
    await retriever.ingest("demo", "doc", "doc.txt", "\n\n".join(old))
    await retriever.ingest("demo", "other", "other.txt", "Parking is free.")
    new = Document.from_text("demo", "doc", "doc.txt", "\n\n".join(ROOMS))

    async def die(done: int, total: int) -> None:
        if done >= 64:
            raise ProviderUnavailable("the embedder went away")

    with pytest.raises(ProviderUnavailable):
        await retriever.ingest_document(new, die)
    assert await index.count("demo") == 151
    assert await retriever.ingest_document(new) == 100
    left = await index.search("demo", [1.0] * DIMENSION, 1000)
    assert sorted(each.passage.text for each in left) == sorted([*ROOMS, "Parking is free."])
    await index.close()


async def test_two_ingests_and_a_delete_of_one_document_take_turns(retriever: Retriever) -> None:
    rooms = "\n\n".join(ROOMS)
    first = asyncio.create_task(retriever.ingest("demo", "doc", "doc.txt", rooms))
    second = asyncio.create_task(
        retriever.ingest("demo", "doc", "doc.txt", "Parking is free. " + rooms[:700])
    )
    await asyncio.gather(first, second)
    assert len(await retriever.search("demo", "room", 1000)) in {first.result(), second.result()}
    third = asyncio.create_task(retriever.ingest("demo", "doc", "doc.txt", rooms))
    await asyncio.sleep(0.01)
    await retriever.delete("demo", "doc")
    await third
    await retriever.delete("demo", "doc")
    assert await retriever.search("demo", "room", 10) == []


async def test_marks_without_words_are_refused_and_leave_the_old_one(retriever: Retriever) -> None:
    await retriever.ingest("demo", "page", "clinic.txt", "Parking is free.")
    with pytest.raises(DocumentError, match="holds no text"):
        await retriever.ingest("demo", "page", "clinic.txt", "-----")
    assert len(await retriever.search("demo", "parking", 2)) == 1


def found(text: str, cosine: float) -> Found:
    return Found(Passage(text=text, score=cosine), heading="")


def test_a_near_passage_that_does_not_mention_what_is_asked_scores_low() -> None:
    page = [found("Teeth whitening costs 250 dollars.", 0.5), found("We speak English.", 0.1)]
    [unanswered, _] = rank("How much is a root canal?", page)
    [answered, _] = rank("How much is whitening?", page)
    assert unanswered.score < demo.agent().min_score < answered.score


def test_in_another_language_nearness_alone_decides() -> None:
    near, far = found("El blanqueamiento cuesta 250 dólares.", 0.6), found("Hablamos inglés.", 0.1)
    [first, second] = rank("¿Cuánto cuesta una corona?", [far, near], language="es")
    assert (first.text, second.text) == (near.passage.text, far.passage.text)
    assert first.score > demo.agent().min_score > second.score


def test_the_demo_agent_belongs_to_the_demo_company() -> None:
    assert demo.agent().company_id == demo.company().id == "demo"


class Failing(WordCounts):
    """Embeds documents; of questions it says no, or nothing."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self.hangs = hangs

    async def embed(self, texts: Sequence[str], *, role: Literal["query", "document"]) -> list[list[float]]:
        if role == "query":
            if self.hangs:
                await asyncio.Event().wait()
            raise ProviderUnavailable("down")
        return await super().embed(texts, role=role)


@pytest.mark.parametrize("hangs", [False, True])
async def test_without_an_embedder_the_words_decide(
    place: Path, hangs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrieve, "EMBED_S", 0.05)
    index = await EdgeIndex.open(place, Space("word-counts", DIMENSION))
    retriever = Retriever(Failing(hangs=hangs), index)
    await retriever.ingest("demo", "page", "clinic.txt", demo.knowledge())
    await retriever.ingest("other", "page2", "bakery.txt", "A check-up of the oven costs 5 dollars.")
    best, _ = await retriever.search("demo", "How much is a check-up?", 2)
    assert best.text == "A check-up costs 60 dollars."
    assert best.score >= MIN_SCORE
    [unrelated, *_] = await retriever.search("demo", "Who won the football match yesterday?", 2)
    assert unrelated.score < MIN_SCORE
    assert await retriever.search("demo", "Combien coûte un contrôle ?", 2, language="fr") == []
    await index.close()

"""One contract, two indexes: Qdrant Edge in this process, and Qdrant through its client."""

import asyncio
import os
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from qdrant_client import AsyncQdrantClient, models

from engine.errors import ConfigurationError, DocumentError, ProtocolError, ProviderUnavailable
from engine.knowledge import index as index_module
from engine.knowledge.chunk import Chunk, Document, chunk
from engine.knowledge.edge_index import EdgeIndex
from engine.knowledge.index import Scope, Space, VectorIndex
from engine.knowledge.server_index import ServerIndex

SPACE = Space("tiny", 4)
Opener = Callable[[Space], Awaitable[VectorIndex]]

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder in memory where there is one: a disk makes every flush wait."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


@pytest.fixture(params=["edge", "server"])
async def opener(request: pytest.FixtureRequest, place: Path) -> AsyncIterator[Opener]:
    if request.param == "edge":
        yield lambda space: EdgeIndex.open(place / "qdrant", space)
        return
    url = os.environ.get("PARLEY_TEST_QDRANT_URL")
    client = AsyncQdrantClient(url=url) if url else AsyncQdrantClient(location=":memory:")
    name = f"parley-test-{uuid.uuid4()}"
    yield lambda space: ServerIndex.open(client, space, name)
    await client.delete_collection(name)
    await client.close()


@pytest.fixture
async def index(opener: Opener) -> AsyncIterator[VectorIndex]:
    opened = await opener(SPACE)
    yield opened
    if isinstance(opened, EdgeIndex):
        await opened.close()


def chunks(company: str, document: str, *sentences: str) -> list[Chunk]:
    return chunk(Document.from_text(company, document, f"{document}.txt", "\n\n".join(sentences)))


def vector(hot: int) -> list[float]:
    return [1.0 if place == hot else 0.1 for place in range(4)]


async def fill(index: VectorIndex, company: str, document: str, *sentences: str) -> None:
    await index.upsert(
        company,
        document,
        chunks(company, document, *sentences),
        [vector(n % 4) for n in range(len(sentences))],
    )


async def texts(index: VectorIndex, company: str) -> set[str]:
    return {each.passage.text for each in await index.search(company, vector(0), 100)}


async def test_the_nearest_comes_first_with_all_that_is_known_of_it(index: VectorIndex) -> None:
    text = "## Parking\n\nParking is free here.\n\nThe gate is green."
    made = chunk(Document("acme", "doc", "doc.pdf", ((7, text),)))
    await index.upsert("acme", "doc", made, [vector(0), vector(1)])
    first, second = await index.search("acme", vector(1), 5)
    assert first.passage.text == "The gate is green."
    assert first.passage.score == pytest.approx(1.0, abs=1e-4)
    assert second.passage.score < first.passage.score
    assert (second.passage.source, second.passage.page, second.passage.document_id) == ("doc.pdf", 7, "doc")
    assert second.context == "Parking: Parking is free here."
    assert len(await index.search("acme", vector(1), 1)) == 1


async def test_a_company_never_sees_another(index: VectorIndex) -> None:
    await fill(index, "acme", "doc", "Acme is open on Monday.")
    await fill(index, "globex", "doc", "Globex is open on Friday.", "Globex has no parking.")
    assert await texts(index, "acme") == {"Acme is open on Monday."}
    assert await texts(index, "initech") == set()
    assert (await index.count("acme"), await index.count("globex"), await index.count("initech")) == (1, 2, 0)
    await index.delete_document("acme", "doc")
    assert await index.count("globex") == 2


async def test_some_passages_without_a_vector(index: VectorIndex) -> None:
    await fill(index, "acme", "doc", "One of ours.", "Two of ours.", "Three of ours.")
    await fill(index, "other", "doc2", "One of theirs.")
    found = await index.some("acme", 10)
    assert {each.passage.text for each in found} == {"One of ours.", "Two of ours.", "Three of ours."}
    assert {each.passage.score for each in found} == {0.0}
    assert len(await index.some("acme", 2)) == 2
    assert await index.some("nobody", 10) == []


async def test_no_company_no_answer(index: VectorIndex) -> None:
    await fill(index, "acme", "doc", "Acme is open on Monday.")
    with pytest.raises(DocumentError, match="name the company"):
        await index.search("", vector(0), 5)
    with pytest.raises(DocumentError):
        await index.count("")
    with pytest.raises(DocumentError):
        await index.delete_document("acme", "")
    with pytest.raises(DocumentError):
        await fill(index, "", "doc", "Nobody says this.")
    assert await index.count("acme") == 1


async def test_a_new_upload_replaces_the_old_one(index: VectorIndex) -> None:
    await fill(index, "acme", "doc", "Old one.", "Old two.", "Old three.")
    await fill(index, "acme", "other", "Other stays.")
    await fill(index, "acme", "doc", "New one.")
    assert await texts(index, "acme") == {"New one.", "Other stays."}
    await index.upsert("acme", "doc", [], [])
    assert await texts(index, "acme") == {"Other stays."}


async def test_deleting_what_is_not_there_is_fine(index: VectorIndex) -> None:
    await index.delete_document("acme", "nothing")
    await fill(index, "acme", "doc", "Here we are.")
    await index.delete_document("acme", "doc")
    assert await index.count("acme") == 0
    await index.check()


async def test_a_long_document_is_written_in_parts(
    index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_module, "BATCH", 3)
    await fill(index, "acme", "doc", *(f"Fact number {number} is here." for number in range(8)))
    assert await index.count("acme") == 8


async def test_another_model_or_dimension_is_refused(opener: Opener) -> None:
    opened = await opener(SPACE)
    if isinstance(opened, EdgeIndex):
        await opened.close()
    for other in (Space("large", 4), Space("tiny", 8)):
        with pytest.raises(ConfigurationError, match=r"holds vectors of tiny \(4 dimensions\).*upload"):
            await opener(other)
    again = await opener(SPACE)
    assert await again.count("acme") == 0
    if isinstance(again, EdgeIndex):
        await again.close()


def test_a_row_of_another_company_is_an_error_whatever_the_index_says() -> None:
    made = chunks("globex", "doc", "Globex secret.")
    row = Scope("globex", "doc").payload(made[0])
    with pytest.raises(ProtocolError, match="outside the company"):
        Scope("acme").passages([(row, 0.9)])
    with pytest.raises(ProtocolError):
        Scope("acme").passages([(None, 0.9)])


async def test_edge_keeps_what_it_acknowledged_when_the_process_is_killed(place: Path) -> None:
    program = (
        "import asyncio, os, pathlib, signal\n"
        "from engine.knowledge.chunk import Document, chunk\n"
        "from engine.knowledge.edge_index import EdgeIndex\n"
        "from engine.knowledge.index import Space\n"
        "async def main():\n"
        f"    index = await EdgeIndex.open(pathlib.Path({str(place)!r}), Space('tiny', 4))\n"
        "    for text in ('Old one.\\n\\nOld two.', 'Still here.'):\n"
        "        made = chunk(Document.from_text('acme', 'doc', 'doc.txt', text))\n"
        "        await index.upsert('acme', 'doc', made, [[1.0, 0.1, 0.1, 0.1]] * len(made))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    killed = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await asyncio.wait_for(killed.wait(), 60) == -signal.SIGKILL
    index = await EdgeIndex.open(place, SPACE)
    assert await texts(index, "acme") == {"Still here."}
    await index.close()


async def test_edge_in_use_is_one_clear_line(place: Path) -> None:
    index = await EdgeIndex.open(place, SPACE)
    with pytest.raises(
        ConfigurationError, match=r"is in use by another process: .*PARLEY_QDRANT_URL"
    ) as caught:
        await EdgeIndex.open(place, SPACE)
    assert "\n" not in str(caught.value)
    await index.close()
    with pytest.raises(ProviderUnavailable, match="knowledge index failed"):
        await index.check()


def damage(folder: Path, pattern: str) -> None:
    for file in folder.glob(pattern):
        file.write_text("{")


@pytest.mark.parametrize("victim", ["space.json", "shard/edge_config.json", "shard/segments/*/segment.json"])
async def test_edge_damaged_is_one_clear_line(place: Path, victim: str) -> None:
    index = await EdgeIndex.open(place, SPACE)
    await index.close()
    damage(place, victim)
    with pytest.raises(ConfigurationError, match=r"cannot be opened \(.*\): restore it") as caught:
        await EdgeIndex.open(place, SPACE)
    assert "\n" not in str(caught.value)


async def test_edge_label_missing_is_not_taken_over(place: Path) -> None:
    index = await EdgeIndex.open(place, SPACE)
    await index.close()
    (place / "space.json").unlink()
    with pytest.raises(ConfigurationError, match=r"space\.json is missing"):
        await EdgeIndex.open(place, SPACE)


async def test_server_out_of_reach_is_one_clear_line() -> None:
    with pytest.raises(ProviderUnavailable, match=r"Qdrant cannot be reached.*PARLEY_QDRANT_URL"):
        await ServerIndex.connect("http://127.0.0.1:9", None, SPACE)


async def test_server_collection_of_unknown_origin_is_refused() -> None:
    client = AsyncQdrantClient(location=":memory:")
    size = models.VectorParams(size=4, distance=models.Distance.COSINE)
    await client.create_collection("mine", vectors_config=size)
    with pytest.raises(ConfigurationError, match="does not say which model it holds"):
        await ServerIndex.open(client, SPACE, "mine")
    await client.close()

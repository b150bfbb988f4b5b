"""How long a call waits for its knowledge when the index is large.

`python -m bench.platform.retrieval` fills an embedded index with 50,000 passages: 20 companies with 1,000
each, and one with 30,000. Then it asks real questions of both, one after the other as a call does, embedding
included. The passages are sentences about things with numbers, so that all differ; their vectors are made by
the embedder for a part of them and, since 50,000 would take an hour, by adding noise to those for the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
import tomllib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.knowledge.chunk import Chunk
from engine.knowledge.edge_index import EdgeIndex
from engine.knowledge.index import Space
from engine.knowledge.retrieve import Retriever
from engine.providers.embeddings.sentence_transformer import SentenceTransformerEmbedder
from engine.simulator.usage import machine, versions
from engine.weights import folder

QUESTIONS = Path(__file__).parents[1] / "questions"
RESULT = Path(__file__).parents[1] / "results" / "retrieval_50k.json"
SMALL, LARGE = ("small", 1_000), ("large", 30_000)
COMPANIES, PART, NOISE = 20, 500, 0.25
THINGS = (
    "delivery",
    "repair",
    "consultation",
    "installation",
    "return",
    "inspection",
    "membership",
    "rental",
)
PLACES = ("in the north", "downtown", "at the airport", "by the river", "online", "on weekends", "abroad")


def sentences(count: int) -> list[str]:
    return [
        f"{THINGS[n % len(THINGS)].capitalize()} number {n} {PLACES[n % len(PLACES)]} costs {n % 997 + 3} "
        f"dollars and takes {n % 29 + 1} days."
        for n in range(count)
    ]


def noisy(vectors: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """`count` unit vectors near the given ones, shape (count, dimension)."""
    random = np.random.default_rng(0)
    chosen = vectors[np.arange(count) % len(vectors)]
    moved = chosen + random.normal(0, NOISE / np.sqrt(vectors.shape[1]), chosen.shape)
    unit: NDArray[np.float64] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return unit


async def fill(index: EdgeIndex, company: str, texts: list[str], vectors: NDArray[np.float64]) -> None:
    for start in range(0, len(texts), PART):
        chunks = [
            Chunk(
                str(uuid.uuid5(uuid.NAMESPACE_OID, f"{company} {start + n}")), start + n, text, "", "s.txt", 1
            )
            for n, text in enumerate(texts[start : start + PART])
        ]
        part = vectors[start : start + PART].tolist()
        await index.write(company, f"doc{start}", chunks, part)


def questions() -> Iterator[str]:
    for page in sorted(QUESTIONS.glob("*.toml")):
        sets = tomllib.loads(page.read_text())
        yield from (question for question, _ in sets["answerable"] + sets["misheard"])


async def ask(retriever: Retriever, company: str, rounds: int) -> list[float]:
    took = []
    for question in list(questions()) * rounds:
        began = time.perf_counter()
        found = await retriever.search(company, question, 2)
        took.append((time.perf_counter() - began) * 1000)
        assert found, "the index is full of passages"
    return took


def summary(took: list[float]) -> dict[str, Any]:
    p50, p95, p99 = np.percentile(took, [50, 95, 99]).round(1)
    return {"searches": len(took), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="how often each question is asked")
    arguments = parser.parse_args()
    embedder = SentenceTransformerEmbedder(folder("minilm"))
    with tempfile.TemporaryDirectory() as place:
        index = await EdgeIndex.open(Path(place), Space(embedder.name, embedder.dimension))
        base = np.array(await embedder.embed(sentences(PART), role="document"))
        began = time.perf_counter()
        for name, count in [(f"c{n}", SMALL[1]) for n in range(COMPANIES - 1)] + [SMALL, LARGE]:
            await fill(index, name, sentences(count), noisy(base, count))
        filled_s = time.perf_counter() - began
        retriever = Retriever(embedder, index)
        await ask(retriever, SMALL[0], 1)  # warm
        figures = {
            f"{count} passages": summary(await ask(retriever, name, arguments.rounds))
            for name, count in (SMALL, LARGE)
        }
        await index.close()
    embedder.close()
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "passages": (COMPANIES - 1) * SMALL[1] + SMALL[1] + LARGE[1],
        "filled_s": round(filled_s, 1),
        "company": figures,
        "machine": machine(),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["company"], indent=2))


if __name__ == "__main__":
    asyncio.run(main())

"""Does the knowledge search find what answers, and refuse what nothing answers?

`python -m bench.retrieval` asks every set in `bench/questions` of its own page and prints hit rates, how
scores are spread, and what each threshold keeps and passes, with cosine alone beside it for comparison.
The words in `engine/knowledge/lexicon.py` were chosen looking at all sets but `bakery`, which came last
and changed nothing: it tells what to expect of a new trade.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import demo
from engine.demo.agent import MIN_SCORE
from engine.knowledge.edge_index import EdgeIndex
from engine.knowledge.index import Found, Space
from engine.knowledge.retrieve import CANDIDATES, Retriever, rank
from engine.providers.base import Passage
from engine.providers.embeddings.sentence_transformer import SentenceTransformerEmbedder
from engine.weights import folder

QUESTIONS = Path(__file__).parent / "questions"
THRESHOLDS = (0.35, 0.40, 0.42, 0.43, 0.44, 0.45, 0.46, MIN_SCORE, 0.48, 0.50)


@dataclass(frozen=True)
class Question:
    """`answer`: part of the passage that answers, or empty when nothing does. `plain`: by cosine alone."""

    page: str
    text: str
    answer: str
    misheard: bool
    plain: list[Passage]
    ranked: list[Passage]
    ms: float

    def hit(self, passages: Sequence[Passage], within: int) -> bool:
        return any(self.answer.lower() in passage.text.lower() for passage in passages[:within])


async def ask_all(
    page: Path, sets: dict[str, Any], embedder: SentenceTransformerEmbedder, index: EdgeIndex
) -> list[Question]:
    text = sets.get("text") or demo.knowledge(page.stem)
    await Retriever(embedder, index).ingest(page.stem, page.stem, page.name, text)
    asked = [(question, answer, False) for question, answer in sets["answerable"]]
    asked += [(question, answer, True) for question, answer in sets["misheard"]]
    asked += [(question, "", False) for question in sets["unanswerable"]]
    questions = []
    for question, answer, misheard in asked:
        began = time.perf_counter()
        [vector] = await embedder.embed([question], role="query")
        found: list[Found] = await index.search(page.stem, vector, CANDIDATES)
        ranked = rank(question, found)
        took_ms = (time.perf_counter() - began) * 1000
        plain = [each.passage for each in found]
        questions.append(Question(page.stem, question, answer, misheard, plain, ranked, took_ms))
    return questions


def spread(scores: Sequence[float]) -> str:
    ordered = sorted(scores)
    points = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
    return " ".join(f"{ordered[round(point * (len(ordered) - 1))]:6.2f}" for point in points)


def separation(kept: Sequence[float], refused: Sequence[float]) -> float:
    """Chance that an answerable question scores above an unanswerable one."""
    return sum(a > b for a in kept for b in refused) / (len(kept) * len(refused))


def report(title: str, questions: Sequence[Question]) -> None:
    answerable = [question for question in questions if question.answer]
    others = [question for question in questions if not question.answer]
    print(f"\n{title}: {len(answerable)} answerable, {len(others)} not")
    print("               top-1  top-2  separation   scores: min 5% 25% 50% 75% 95% max")
    for name in ("plain", "ranked"):
        hits = [sum(q.hit(getattr(q, name), n) for q in answerable) / len(answerable) for n in (1, 2)]
        yes = [getattr(q, name)[0].score for q in answerable]
        no = [getattr(q, name)[0].score for q in others]
        label = "cosine" if name == "plain" else "with coverage"
        print(f"{label:14s} {hits[0]:5.0%}  {hits[1]:5.0%}  {separation(yes, no):10.3f}   yes {spread(yes)}")
        print(f"{'':42s} no {spread(no)}")


def thresholds(questions: Sequence[Question]) -> None:
    print("\nmin_score   answerable kept   unanswerable passed   (by page: kept, passed)")
    pages = sorted({question.page for question in questions})
    for threshold in THRESHOLDS:
        cells = []
        for page in (None, *pages):
            chosen = [question for question in questions if page in (None, question.page)]
            kept, passed = (
                [q.ranked[0].score >= threshold for q in chosen if bool(q.answer) is wanted]
                for wanted in (True, False)
            )
            cells.append((sum(kept) / len(kept), sum(passed) / len(passed)))
        by_page = "  ".join(f"{page} {k:.0%}, {p:.0%}" for page, (k, p) in zip(pages, cells[1:], strict=True))
        print(f"{threshold:9.2f}   {cells[0][0]:15.1%}   {cells[0][1]:19.1%}   {by_page}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wrong", action="store_true", help="list what is decided wrongly at the threshold")
    arguments = parser.parse_args()
    embedder = SentenceTransformerEmbedder(folder("minilm"))
    questions: list[Question] = []
    with tempfile.TemporaryDirectory() as place:
        index = await EdgeIndex.open(Path(place), Space(embedder.name, embedder.dimension))
        for page in sorted(QUESTIONS.glob("*.toml")):
            asked = await ask_all(page, tomllib.loads(page.read_text()), embedder, index)
            questions += asked
            report(page.stem, asked)
        await index.close()
    embedder.close()
    report("all", questions)
    report("as misheard", [q for q in questions if q.misheard or not q.answer])
    thresholds(questions)
    took = sorted(question.ms for question in questions)
    print(f"\nsearch: p50 {took[len(took) // 2]:.1f} ms, p95 {took[int(len(took) * 0.95)]:.1f} ms")
    if arguments.wrong:
        for q in questions:
            if (q.ranked[0].score >= MIN_SCORE) != bool(q.answer):
                print(f"{q.ranked[0].score:5.2f}  {q.page}: {q.text}  ->  {q.ranked[0].text}")


if __name__ == "__main__":
    asyncio.run(main())

"""Are the answers right? The starter model behind its server, offline: knowledge, prompt, reply; no Ray.

`python -m bench.answers` asks `bench/answers.toml` in two ways: with the passage that answers given to the
prompt, which measures prompt and model, and with what the knowledge search found, which is what a caller
gets. A right answer matches what is expected and contains no number that its facts do not. Then it asks the
unanswerable questions of `bench/questions`: refused by the search, refused by the model, or answered.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

from engine import demo
from engine.demo.agent import MIN_SCORE
from engine.dialog.prompt import STOP, build, warm_up
from engine.knowledge.chunk import Document, chunk
from engine.knowledge.edge_index import EdgeIndex
from engine.knowledge.index import Space
from engine.knowledge.retrieve import Retriever
from engine.providers.base import ChatRequest
from engine.providers.embeddings.sentence_transformer import SentenceTransformerEmbedder
from engine.providers.llm.openai_compatible import Endpoint, OpenAICompatible
from engine.providers.llm.server_process import PrintsItsAddress, ServerProcess
from engine.weights import folder
from models import AgentConfig

HERE = Path(__file__).parent
TEMPLATE = HERE.parent / "deployments" / "starter_llm.jinja"
NUMBER = re.compile(r"\d+")
REFUSAL = re.compile(r"\b(?:do not|don't) know|not sure|\bsorry\b|take a message", re.IGNORECASE)


@dataclass(slots=True)
class Timings:
    """First token and whole reply in ms, and counts of tokens, one entry a reply."""

    first_ms: list[float] = field(default_factory=list)
    tokens_per_s: list[float] = field(default_factory=list)
    prompt: list[int] = field(default_factory=list)
    uncached: list[int] = field(default_factory=list)
    completion: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bench:
    model: OpenAICompatible
    retriever: Retriever
    agent: AgentConfig
    verbose: bool
    timings: Timings

    async def answer(self, facts: Sequence[str], question: str) -> str:
        messages = build(self.agent, (), facts, question)
        request = ChatRequest(messages, max_tokens=self.agent.max_tokens, stop=STOP, cache_key="bench")
        began, first, text = time.perf_counter(), 0.0, ""
        async for delta in self.model.generate(request):
            if delta.text and not first:
                first = time.perf_counter()
            text += delta.text
            if delta.finish_reason is not None:
                self._note(
                    began,
                    first or time.perf_counter(),
                    delta.prompt_tokens or 0,
                    delta.cached_tokens or 0,
                    delta.completion_tokens or 0,
                )
        return text

    def _note(self, began: float, first: float, prompt: int, cached: int, completion: int) -> None:
        self.timings.first_ms.append((first - began) * 1000)
        self.timings.tokens_per_s.append(completion / max(1e-3, time.perf_counter() - first))
        self.timings.prompt.append(prompt)
        self.timings.uncached.append(prompt - cached)
        self.timings.completion.append(completion)

    async def found(self, page: str, question: str) -> list[str]:
        passages = await self.retriever.search(page, question, self.agent.passages)
        return [passage.text for passage in passages if passage.score >= self.agent.min_score]

    def show(self, verdict: str, page: str, facts: Sequence[str], question: str, answer: str) -> None:
        if self.verbose:
            print(f"  {verdict:9s} {page}: [{' | '.join(facts)}] {question} -> {answer}")


def right(answer: str, facts: Sequence[str], question: str, expected: Sequence[str]) -> bool:
    """Whether it says what was asked for and no number out of nowhere."""
    known = set(NUMBER.findall(" ".join((*facts, question))))
    said = set(NUMBER.findall(answer))
    return said <= known and all(re.search(each, answer, re.IGNORECASE) for each in expected)


async def answerable(bench: Bench, page: str, text: str, rows: Sequence[Sequence[str]]) -> Counter[str]:
    """Counts of right answers: `given` the passage, and as `found`; `missed`: the search found nothing."""
    passages = [each.text for each in chunk(Document.from_text(page, page, page, text))]
    counts: Counter[str] = Counter()
    for question, part, *expected in rows:
        [given] = [passage for passage in passages if part in passage][:1]
        for way, facts in (("given", [given]), ("found", await bench.found(page, question))):
            if not facts:
                counts["missed"] += 1
                continue
            answer = await bench.answer(facts, question)
            good = right(answer, facts, question, expected)
            counts[way] += good
            if not good:
                bench.show(way, page, facts, question, answer)
    return counts


async def unanswerable(bench: Bench, page: str, questions: Sequence[str]) -> Counter[str]:
    """Counts of what happens: refused by the `search`, by the `model`, `answered`, of these `invented`."""
    counts: Counter[str] = Counter()
    for question in questions:
        facts = await bench.found(page, question)
        if not facts:
            counts["search"] += 1
            continue
        answer = await bench.answer(facts, question)
        if REFUSAL.search(answer):
            counts["model"] += 1
            continue
        counts["answered"] += 1
        counts["invented"] += not right(answer, facts, question, ())
        bench.show("answered", page, facts, question, answer)
    return counts


@asynccontextmanager
async def starter_model(threads: int) -> AsyncIterator[OpenAICompatible]:
    [gguf] = folder("smollm2-135m").glob("*.gguf")
    command = (
        sys.executable,
        "-m",
        "deployments.llama_server",
        "--model",
        str(gguf),
        "--threads",
        str(threads),
    )
    launch = PrintsItsAddress("llama.cpp", (*command, "--chat-template-file", str(TEMPLATE)))
    server = await ServerProcess.start(launch, deadline_s=120)
    address = server.address
    endpoint = Endpoint(
        address.base_url, "starter", address.api_key, dialect="llama.cpp", slots=8, reply_lead=" "
    )
    model = OpenAICompatible(endpoint)
    try:
        yield model
    finally:
        await model.close()
        await server.stop()


def report(page: str, rows: int, found: Counter[str], others: int, refused: Counter[str]) -> None:
    print(
        f"{page:8s} {rows:3d} answerable: {found['given'] / rows:5.0%} right given the passage, "
        f"{found['found'] / rows:5.0%} as found ({found['missed']} not found)"
    )
    print(
        f"{'':8s} {others:3d} others: {refused['search']} refused by the search, {refused['model']} by the "
        f"model, {refused['answered']} answered ({refused['invented']} with invented numbers)"
    )


def report_timings(timings: Timings) -> None:
    p95 = quantiles(timings.first_ms, n=20)[-1]
    print(
        f"\nTTFT p50 {median(timings.first_ms):.0f} ms, p95 {p95:.0f} ms; "
        f"{median(timings.tokens_per_s):.0f} tokens/s; prompt {median(timings.prompt):.0f} tokens, "
        f"of them new {median(timings.uncached):.0f}; reply {median(timings.completion):.0f} tokens"
    )


async def run(bench: Bench, pages: Sequence[str]) -> None:
    answers = tomllib.loads((HERE / "answers.toml").read_text())
    async for _ in bench.model.generate(warm_up(bench.agent, "bench")):
        pass
    for page in pages or list(answers):
        sets = tomllib.loads((HERE / "questions" / f"{page}.toml").read_text())
        text = sets.get("text") or demo.knowledge(page)
        await bench.retriever.ingest(page, page, page, text)
        found = await answerable(bench, page, text, answers[page])
        refused = await unanswerable(bench, page, sets["unanswerable"])
        report(page, len(answers[page]), found, len(sets["unanswerable"]), refused)
    report_timings(bench.timings)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pages", nargs="*", help="clinic, garden, garage, hotel; by default all")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--passages", type=int, default=AgentConfig.model_fields["passages"].default)
    parser.add_argument("--min-score", type=float, default=MIN_SCORE)
    parser.add_argument("--verbose", action="store_true", help="print every answer that is wrong")
    arguments = parser.parse_args()
    agent = demo.agent().model_copy(update={"passages": arguments.passages, "min_score": arguments.min_score})
    embedder = SentenceTransformerEmbedder(folder("minilm"))
    with tempfile.TemporaryDirectory() as place:
        index = await EdgeIndex.open(Path(place), Space(embedder.name, embedder.dimension))
        async with starter_model(arguments.threads) as model:
            bench = Bench(model, Retriever(embedder, index), agent, arguments.verbose, Timings())
            await run(bench, arguments.pages)
        await index.close()
    embedder.close()


if __name__ == "__main__":
    asyncio.run(main())

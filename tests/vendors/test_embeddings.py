"""The contract of embedding vendors, through their real clients."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx2
import numpy as np
import pytest

from engine.errors import (
    ConfigurationError,
    ProviderRefusesUs,
    ProviderRejected,
    ProviderUnavailable,
)
from engine.providers.base import Role
from engine.providers.embeddings.cohere import CohereEmbedder
from engine.providers.embeddings.gemini import GeminiEmbedder
from engine.providers.embeddings.openai import OpenAiEmbedder
from engine.providers.embeddings.vendor import VendorEmbedder
from engine.providers.embeddings.voyage import VoyageEmbedder
from engine.providers.vendor import VendorOptions
from tests.vendors.cohere import Cohere
from tests.vendors.contract import FAULTS, WRONG_KEY, Case, FarEnd, both_ends
from tests.vendors.embeddings import CHARS_A_TOKEN, EmbeddingSimulator
from tests.vendors.gemini_embeddings import GeminiEmbeddings
from tests.vendors.openai_embeddings import MOST_TOKENS, OpenAiEmbeddings
from tests.vendors.simulator import KEY, RETRY_AFTER_S, Fault
from tests.vendors.voyage import Voyage

Embeds = Case[VendorEmbedder, EmbeddingSimulator]

CASES: dict[str, Embeds] = {
    "openai": Case(OpenAiEmbedder, OpenAiEmbeddings, path="/v1"),
    "openai short": Case(OpenAiEmbedder, OpenAiEmbeddings, path="/v1", extra=(("dimension", 8),)),
    "openai ada": Case(OpenAiEmbedder, OpenAiEmbeddings, path="/v1", model="text-embedding-ada-002"),
    "gemini": Case(GeminiEmbedder, GeminiEmbeddings),
    "gemini short": Case(GeminiEmbedder, GeminiEmbeddings, extra=(("dimension", 128),)),
    "gemini 2": Case(GeminiEmbedder, GeminiEmbeddings, model="gemini-embedding-2"),
    "voyage": Case(VoyageEmbedder, Voyage, path="/v1"),
    "voyage short": Case(
        VoyageEmbedder, Voyage, path="/v1", model="voyage-4-large", extra=(("dimension", 256),)
    ),
    "voyage law": Case(VoyageEmbedder, Voyage, path="/v1", model="voyage-law-2"),
    "cohere": Case(CohereEmbedder, Cohere),
    "cohere short": Case(CohereEmbedder, Cohere, extra=(("dimension", 256),)),
    "cohere 3": Case(CohereEmbedder, Cohere, model="embed-multilingual-v3.0"),
}
DEFAULTS = {"openai": 1536, "gemini": 768, "voyage": 1024, "cohere": 1536}
TEXTS = [
    "When do you open?",
    "¿Cuánto cuesta el envío a Zürich?",
    "東京まで 🚚",
    "We open at nine.\nAnd close.",
]


def cases(*names: str) -> pytest.MarkDecorator:
    """The vendors of these rows, or of all."""
    chosen = names or tuple(CASES)
    return pytest.mark.parametrize("case", [CASES[name] for name in chosen], ids=chosen)


Embedder = FarEnd[VendorEmbedder, EmbeddingSimulator]
every_vendor = both_ends("embeddings", CASES)
every_short = both_ends("embeddings", {name: case for name, case in CASES.items() if name.endswith("short")})
shorts = cases(*(name for name in CASES if name.endswith("short")))
"""One row a vendor, quick for many texts."""


async def embed(embedder: VendorEmbedder, *texts: str, role: Role = "query") -> list[list[float]]:
    return await embedder.embed(texts, role=role)


def expected(
    embedder: VendorEmbedder, vendor: EmbeddingSimulator, text: str, role: Role = "query"
) -> list[float]:
    """What the simulator sends for a text, at length 1."""
    told_apart = vendor.asked[-1].role is not None
    vector = vendor.vector(text, role if told_apart else None, embedder.model, embedder.dimension)
    length = math.hypot(*vector)
    return [number / length for number in vector]


@every_vendor
async def test_each_text_gets_its_vector(far: Embedder) -> None:
    async with far.opened() as (embedder, vendor):
        vectors = await embed(embedder, *TEXTS)
        [again] = await embed(embedder, TEXTS[-1])
        assert len(vectors) == len(TEXTS)
        for vector in vectors:
            assert len(vector) == embedder.dimension
            assert math.hypot(*vector) == pytest.approx(1.0)
        assert np.argmax(np.array(vectors) @ again) == len(TEXTS) - 1
        if vendor is not None:
            for text, vector in zip(TEXTS, vectors, strict=True):
                assert vector == pytest.approx(expected(embedder, vendor, text))
            assert [asked.texts for asked in vendor.asked] == [tuple(TEXTS), (TEXTS[-1],)]
            assert {asked.model for asked in vendor.asked} == {embedder.model}


@cases(*DEFAULTS)
def test_the_dimension_unless_one_is_chosen(case: Embeds) -> None:
    embedder = case.client(case.options("http://nowhere"))
    assert embedder.dimension == DEFAULTS[embedder.name]


@cases(*(name for name, case in CASES.items() if case.simulator.indexed))  # type: ignore[attr-defined]
async def test_vectors_may_come_in_any_order(case: Embeds) -> None:
    async with case.opened() as (embedder, vendor):
        in_order = await embed(embedder, *TEXTS)
        vendor.shuffled = True
        assert await embed(embedder, *TEXTS) == in_order


@cases()
async def test_the_role_arrives(case: Embeds) -> None:
    async with case.opened() as (embedder, vendor):
        [question] = await embed(embedder, TEXTS[0], role="query")
        [answer] = await embed(embedder, TEXTS[0], role="document")
        roles = [asked.role for asked in vendor.asked]
        if embedder.name == "openai":
            assert roles == [None, None]
            assert question == answer
        else:
            assert roles == ["query", "document"]
            assert question != answer


@shorts
async def test_many_texts_go_in_several_requests(case: Embeds) -> None:
    async with case.opened() as (embedder, vendor):
        texts = [f"text {number}" for number in range(2 * embedder.batch + 1)]
        vectors = await embed(embedder, *texts, role="document")
        assert [len(asked.texts) for asked in vendor.asked] == [embedder.batch, embedder.batch, 1]
        assert [text for asked in vendor.asked for text in asked.texts] == texts
        for number in (0, embedder.batch, 2 * embedder.batch):
            wanted = expected(embedder, vendor, texts[number], "document")
            assert vectors[number] == pytest.approx(wanted)


@every_short
async def test_long_texts_are_more_requests(far: Embedder) -> None:
    """44 texts of 30 kB are more than OpenAI takes at once, and thrice what Voyage's large model does."""
    async with far.opened() as (embedder, vendor):
        texts = [f"{number:04} " + "word " * 6_000 for number in range(44 if vendor else 1)]
        vectors = await embed(embedder, *texts, role="document")
        assert len(vectors) == len(texts)
        if vendor is not None:
            assert [text for asked in vendor.asked for text in asked.texts] == texts
            assert vectors[-1] == pytest.approx(expected(embedder, vendor, texts[-1], "document"))


@cases("openai")
async def test_a_text_beyond_the_model_is_rejected(case: Embeds) -> None:
    async with case.opened() as (embedder, _):
        with pytest.raises(ProviderRejected, match="maximum context length"):
            await embed(embedder, "w" * (CHARS_A_TOKEN * (MOST_TOKENS + 1)))


@every_vendor
async def test_no_texts_ask_nobody(far: Embedder) -> None:
    async with far.opened() as (embedder, vendor):
        assert await embed(embedder) == []
        if vendor is not None:
            assert vendor.seen == []


@every_vendor
@pytest.mark.parametrize("blank", ["", " \n"])
async def test_a_blank_text_is_rejected_and_asks_nobody(far: Embedder, blank: str) -> None:
    async with far.opened() as (embedder, vendor):
        with pytest.raises(ProviderRejected, match="blank"):
            await embed(embedder, TEXTS[0], blank)
        if vendor is not None:
            assert vendor.seen == []


@every_vendor
async def test_many_at_once_get_their_own(far: Embedder) -> None:
    async with far.opened() as (embedder, vendor):
        texts = [f"text {number}" for number in range(20 if vendor else 4)]
        answers = await asyncio.gather(*(embed(embedder, text) for text in texts))
        for text, [vector] in zip(texts, answers, strict=True):
            assert len(vector) == embedder.dimension
            if vendor is not None:
                assert vector == pytest.approx(expected(embedder, vendor, text))


WRONG: dict[str, Callable[[list[Any]], list[Any]]] = {
    "none": lambda vectors: [],
    "one too few": lambda vectors: vectors[:-1],
    "one too many": lambda vectors: [*vectors, vectors[0]],
    "too short": lambda vectors: [vector[:-1] for vector in vectors],
    "one too long": lambda vectors: [*vectors[:-1], [*vectors[-1], 0.5]],
    "only zeros": lambda vectors: [[0.0] * len(vector) for vector in vectors],
    "not numbers": lambda vectors: [["x"] * len(vector) for vector in vectors],
    "missing numbers": lambda vectors: [[None, *vector[1:]] for vector in vectors],
    "null": lambda vectors: [None] * len(vectors),
}


@cases()
@pytest.mark.parametrize("bend", WRONG.values(), ids=WRONG.keys())
async def test_wrong_vectors_go_nowhere(case: Embeds, bend: Callable[[list[Any]], list[Any]]) -> None:
    async with case.opened() as (embedder, vendor):
        vendor.bend = bend
        with pytest.raises(ProviderUnavailable):
            await embed(embedder, *TEXTS)
        vendor.bend = list
        assert await embed(embedder, *TEXTS)


@cases()
def test_other_vectors_are_another_space(case: Embeds) -> None:
    embedder = case.client(case.options("http://nowhere"))
    pairs = [
        (model, dimension)
        for model, known in embedder.dimensions.items()
        for dimension in {min(known.allowed), known.default, max(known.allowed)}
    ]
    spaces = {
        case.client(
            replace(case.options("http://nowhere"), model=model, extra={"dimension": dimension})
        ).space
        for model, dimension in pairs
    }
    assert len(spaces) == len(pairs)
    assert all(space.startswith(f"{embedder.name}/") for space in spaces)


WRONG_DIMENSIONS: dict[str, list[Any]] = {
    "openai": [0, 1537, "1536", 8.5],
    "openai ada": [8],
    "gemini": [127, 3073],
    "voyage": [1000, -1],
    "voyage law": [512],
    "cohere": [2048, 384],
    "cohere 3": [256],
}


@pytest.mark.parametrize(
    ("case", "dimension"),
    [(CASES[name], dimension) for name, dimensions in WRONG_DIMENSIONS.items() for dimension in dimensions],
)
def test_a_dimension_that_the_model_lacks_is_refused_at_once(case: Embeds, dimension: Any) -> None:
    options = replace(case.options("http://nowhere"), extra={"dimension": dimension})
    with pytest.raises(ConfigurationError, match=str(dimension)):
        case.client(options)


@every_short
async def test_an_unknown_model_is_refused(far: Embedder) -> None:
    async with far.opened(model="embedding-of-next-year", extra={"dimension": 8}) as (embedder, _):
        with pytest.raises((ProviderRefusesUs, ProviderRejected), match="embedding-of-next-year"):
            await embed(embedder, *TEXTS)


@shorts
def test_a_model_that_is_not_known_here_needs_its_dimension(case: Embeds) -> None:
    newer = replace(case, model="embedding-of-next-year")
    with pytest.raises(ConfigurationError, match="say its dimension"):
        newer.client(replace(newer.options("http://nowhere"), extra={}))


@cases()
@pytest.mark.parametrize("fault", FAULTS)
async def test_faults(case: Embeds, fault: Fault) -> None:
    async with case.opened() as (embedder, vendor):
        vendor.fault = fault
        with pytest.raises(FAULTS[fault]) as caught:
            await embed(embedder, *TEXTS)
        assert caught.value.provider == embedder.name
        assert vendor.key not in str(caught.value)
        assert len(vendor.seen) == 1  # the failover decides on another try, not an SDK
        if isinstance(caught.value, ProviderUnavailable) and fault is Fault.RATE_LIMITED:
            assert caught.value.retry_after_s == RETRY_AFTER_S
        vendor.fault = None
        assert len(await embed(embedder, *TEXTS)) == len(TEXTS)  # and it serves again


@cases()
async def test_nobody_listens(case: Embeds) -> None:
    async with case.unreachable() as embedder:
        with pytest.raises(ProviderUnavailable):
            await embed(embedder, *TEXTS)


@every_vendor
async def test_a_wrong_key_is_said_so(far: Embedder) -> None:
    async with far.opened(key=WRONG_KEY) as (embedder, _):
        with pytest.raises(ProviderRefusesUs, match="key") as caught:
            await embed(embedder, *TEXTS)
        health = await embedder.check()
        assert not health.ok
        for words in (str(caught.value), health.detail, repr(embedder.options)):
            assert WRONG_KEY not in words


async def test_gemini_without_billing_is_the_operators() -> None:
    async with CASES["gemini"].opened() as (embedder, vendor):
        assert isinstance(vendor, GeminiEmbeddings)
        vendor.billing = False
        with pytest.raises(ProviderRefusesUs, match="billing"):
            await embed(embedder, *TEXTS)


@every_vendor
async def test_cancelling_hangs_up(far: Embedder) -> None:
    async with far.opened() as (embedder, vendor):
        await far.cancel(vendor, embed(embedder, *TEXTS))
        assert len(await embed(embedder, *TEXTS)) == len(TEXTS)  # and it serves again


@every_vendor
async def test_health(far: Embedder) -> None:
    async with far.opened() as (embedder, vendor):
        health = await embedder.check()
        assert health.ok, health.detail
        assert embedder.model in health.detail
        assert health.latency_ms >= 0
        if vendor is not None:
            vendor.fault = Fault.SERVER_ERROR
            assert not (await embedder.check()).ok


@pytest.mark.parametrize("client", [OpenAiEmbedder, GeminiEmbedder, VoyageEmbedder, CohereEmbedder])
async def test_other_options_are_refused(client: type[VendorEmbedder]) -> None:
    with pytest.raises(ConfigurationError, match="its options: dimension"):
        client(VendorOptions(api_key=KEY, extra={"size": 8}))


LONG_LIST = {"openai": 2049, "voyage": 1001, "cohere": 97}
REQUESTS: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "openai": (
        "/v1/embeddings",
        {"input": TEXTS, "model": "text-embedding-3-small", "dimensions": 8},
        [
            {"input": None},
            {"model": None},
            {"model": "ada"},
            {"dimensions": 0},
            {"input": ["", "a"]},
            {"x": 1},
        ],
    ),
    "voyage": (
        "/v1/embeddings",
        {"input": TEXTS, "model": "voyage-4-lite", "input_type": "query", "output_dimension": 256},
        [{"input": []}, {"model": "voyage-0"}, {"input_type": "question"}, {"output_dimension": 8}, {"x": 1}],
    ),
    "cohere": (
        "/v2/embed",
        {"texts": TEXTS, "model": "embed-v4.0", "input_type": "search_query", "output_dimension": 256},
        [{"texts": []}, {"model": "embed"}, {"input_type": "query"}, {"output_dimension": 8}, {"x": 1}],
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_the_simulators_refuse_what_the_vendors_do(name: str) -> None:
    path, right, changes = REQUESTS[name]
    texts = "texts" if name == "cohere" else "input"
    changes = [*changes, {texts: TEXTS[:1] * LONG_LIST[name]}]
    simulator = CASES[name].simulator()
    async with simulator.serving() as url, httpx2.AsyncClient() as http:
        key = {"authorization": f"Bearer {KEY}"}
        assert (await http.post(url + path, json=right, headers=key)).status_code == 200
        assert (await http.post(url + path, json=right)).status_code == 401
        for change in changes:
            body = {name: value for name, value in (right | change).items() if value is not None}
            assert (await http.post(url + path, json=body, headers=key)).status_code in (400, 404), change
    assert len(simulator.asked) == 1


async def test_the_simulator_refuses_what_gemini_does() -> None:
    path = "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    part = {
        "model": "models/gemini-embedding-001",
        "content": {"parts": [{"text": TEXTS[0]}]},
        "taskType": "RETRIEVAL_QUERY",
        "outputDimensionality": 768,
    }
    wrong: list[dict[str, Any]] = [
        {"requests": []},
        {"requests": [part] * 101},
        {"requests": [part], "x": 1},
        *(
            {"requests": [part | change]}
            for change in (
                {"model": "models/gemini-embedding-2"},
                {"content": {"parts": [{"text": ""}]}},
                {"taskType": "QUERY"},
                {"outputDimensionality": 64},
                {"task_kind": "RETRIEVAL_QUERY"},
            )
        ),
    ]
    simulator = GeminiEmbeddings()
    async with simulator.serving() as url, httpx2.AsyncClient() as http:
        key = {"x-goog-api-key": KEY}
        right = {"requests": [part, part]}
        assert (await http.post(url + path, json=right, headers=key)).status_code == 200
        assert (await http.post(url + path, json=right)).status_code == 400
        assert (await http.post(url + path.replace("001", "0"), json=right, headers=key)).status_code == 404
        for body in wrong:
            assert (await http.post(url + path, json=body, headers=key)).status_code == 400, body
    assert len(simulator.asked) == 1

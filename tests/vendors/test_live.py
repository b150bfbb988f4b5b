"""The real vendors, each whose key is in the environment: `make test-vendors-live`. They charge for it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from engine.config import settings
from engine.errors import ProviderRefusesUs
from engine.providers.base import ChatRequest, Message, SpeechRequest
from engine.providers.embeddings.vendor import VendorEmbedder
from engine.providers.installation import key, vendor
from engine.providers.llm.vendor import VendorLlm
from engine.providers.registry import ENTRIES, Entry
from engine.providers.stt.vendor import VendorStt
from engine.providers.tts.vendor import VendorTts
from engine.providers.vendor import Vendor
from engine.simulator import recordings

pytestmark = pytest.mark.skipif(
    "PARLEY_TEST_LIVE" not in os.environ, reason="real vendors are asked by `make test-vendors-live` alone"
)
CLOUD = [each for each in ENTRIES if not each.local]
every = pytest.mark.parametrize("each", CLOUD, ids=lambda each: f"{each.kind}-{each.name}")


@asynccontextmanager
async def opened(each: Entry, own_key: str | None = None) -> AsyncIterator[Vendor]:
    if own_key is None and not key(each, settings()):
        pytest.skip(f"{each.variable} is not set")
    client = vendor(each.kind, each.name, settings(), own_key=own_key)
    try:
        yield client
    finally:
        await client.close()


@every
async def test_it_works(each: Entry) -> None:
    async with opened(each) as client:
        match client:
            case VendorStt():
                session = client.session()
                for start in range(0, len(audio := recordings.get("demo-cleaning").ulaw()), 160):
                    session.push(audio[start : start + 160])
                transcript = await session.finish()
                await session.close()
                assert "cleaning" in transcript.text.lower()
            case VendorLlm():
                asked = ChatRequest((Message("user", "Say only: we open at eight."),), max_tokens=30)
                deltas = [delta async for delta in client.generate(asked)]
                assert "eight" in "".join(delta.text for delta in deltas).lower()
                assert deltas[-1].finish_reason == "stop"
            case VendorTts():
                speech = await client.synthesise(SpeechRequest("A cleaning costs 85 dollars."))
                assert 8_000 < len(speech.audio) < 40_000
                assert await client.voices()
            case VendorEmbedder():
                [vector] = await client.embed(["When do you open?"], role="query")
                assert len(vector) == client.dimension


@every
async def test_a_wrong_key_is_said_so(each: Entry) -> None:
    """Asked without a key of ours: it costs nothing."""
    if not key(each, settings()):
        pytest.skip(f"{each.variable} is not set")
    async with opened(each, "wrong-key-0123456789") as client:
        with pytest.raises(ProviderRefusesUs):
            await client.sample()

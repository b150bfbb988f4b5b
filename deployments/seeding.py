"""What is in the store before the first call: the demo company, its agent, and what they need to answer."""

from __future__ import annotations

import logging

from ray import serve

from engine import demo
from engine.config import settings
from engine.errors import ProviderError
from engine.providers.base import SpeechRequest
from engine.providers.installation import local_kinds
from engine.providers.registry import LOCAL
from engine.speech.normalise import normalise
from engine.store import put_company
from engine.store.open import open_store
from models import AgentConfig, TurnTaking

log = logging.getLogger("parley.server")

DEMO_DOCUMENT = "demo"
MEASURED_TURNS = TurnTaking(commit_ms=600)
"""With stubs: long enough for the answer to be ready when the turn ends, so that its release can be timed."""


async def seed(knowledge: tuple[str, str] | None) -> tuple[str, int]:
    """The demo company, its agent and its knowledge; the agent's phrases are spoken once, ahead of calls.

    `knowledge`: (text, name) instead of the clinic's. Returns the name and the number of passages.
    """
    agent = demo.agent()
    await _put(agent)
    text, source = knowledge or (demo.knowledge(), "clinic.txt")
    handle = serve.get_app_handle("knowledge")
    try:
        passages: int = await handle.ingest.remote(agent.company_id, DEMO_DOCUMENT, source, text)
    except ProviderError as error:
        if settings().embeddings_provider == LOCAL:
            raise
        log.warning("the demo's knowledge is missing: %s", getattr(error, "cause", error))
        passages = 0
    if "tts" not in local_kinds(settings()):
        return source, passages
    tts = serve.get_app_handle("tts")
    for phrase in agent.phrases.model_dump().values():
        spoken = normalise(phrase, agent.language).text
        await tts.synthesise.remote(SpeechRequest(spoken, agent.voice, agent.language, cache=True))
    return source, passages


async def seed_for_stubs() -> None:
    """The demo company without knowledge or voice."""
    await _put(demo.agent().model_copy(update={"turn_taking": MEASURED_TURNS}))


async def _put(agent: AgentConfig) -> None:
    """The agent and its company, which is alone here and may have all of the installation's lines."""
    company = demo.company().model_copy(update={"max_calls": settings().max_calls})
    store = await open_store(settings())
    try:
        await put_company(store, company)
        await store.publish_agent(agent)
    finally:
        await store.close()

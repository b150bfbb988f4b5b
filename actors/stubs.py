"""Stubs in the place of all providers: for measuring the engine alone."""

from __future__ import annotations

from typing import Any

from engine.call.services import Services
from engine.providers.stub import (
    StubDelays,
    StubKnowledge,
    StubLanguageModel,
    StubStt,
    StubTts,
    StubTurnModel,
)


def stub_services(delays: StubDelays, journal: Any) -> Services:
    """No model and no handle."""
    return Services(
        stt=StubStt(delays),
        turn=StubTurnModel(delays),
        knowledge=StubKnowledge(delays),
        llm=StubLanguageModel(delays),
        tts=StubTts(delays),
        journal=journal,
    )

"""Everything that a call asks others for, and how long it waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.errors import ParleyError
from engine.providers.base import LanguageModel, Passage, SpeechToText, TextToSpeech, TurnModel
from models.call import CallEvent


class KnowledgeSearch(Protocol):
    async def search(self, company_id: str, query: str, limit: int, language: str) -> Sequence[Passage]: ...


class Journal(Protocol):
    async def append(self, events: Sequence[CallEvent]) -> None:
        """Durable when it returns.

        Raises JournalFenced when another wrote these numbers, JournalLost when nothing can be written.
        """
        ...

    async def read(self, company_id: str, call_id: str) -> Sequence[CallEvent]: ...


class JournalFenced(ParleyError):
    """Another actor has this call: stop at once."""


class JournalLost(ParleyError):
    """The journal cannot be reached."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything a conductor asks. Each member keeps its own fallbacks."""

    stt: SpeechToText
    turn: TurnModel
    knowledge: KnowledgeSearch
    llm: LanguageModel
    tts: TextToSpeech
    journal: Journal


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds after which work counts as failed, fallbacks included."""

    transcribe: float = 4.0
    score: float = 1.0
    words: float = 1.0
    retrieve: float = 2.0
    first_token: float = 5.0
    next_token: float = 3.0
    synthesise: float = 5.0
    """To the first part of a piece's audio."""
    next_part: float = 3.0
    """Without anything left to hear."""
    opening: float = 10.0
    journal: float = 3.0
    journal_wait: float = 0.3
    """Of what the caller would notice; the write goes on behind it."""
    edge_silent: float = 3.0
    """An edge polls every second; one that is silent for so long is lost."""

"""What a live vendor's messages mean for one utterance: messages in, a transcript out; no I/O, no clock."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar

from websockets.frames import CloseCode

from engine.errors import ProviderError, ProviderUnavailable
from engine.providers.base import Transcript, Word
from engine.providers.vendor import parse_json, without_quotes


@dataclass(frozen=True, slots=True)
class Heard:
    """`language`: as the vendor found it, where it was asked to."""

    text: str
    words: tuple[Word, ...] = ()
    language: str = ""


class Utterance(ABC):
    """Reads what the vendor says of one utterance, until `done`. Not used for a second one."""

    provider: ClassVar[str]
    greets: ClassVar[bool] = False
    """Whether the vendor speaks first, and takes nothing before it has."""
    last_words: ClassVar[tuple[str, ...]]
    """The messages that end an utterance; the last one alone ends it early."""

    def __init__(self, language: str, served_by: str) -> None:
        self.language = language
        self.served_by = served_by
        self.begun = False
        """It has greeted."""
        self.ending = False
        """It has been sent the last words: only then may it be done."""
        self.done = False

    def take(self, message: str | bytes) -> None:
        """Read one message. Raises ProviderErrors: the vendor's own, and ProviderUnavailable for nonsense."""
        found = parse_json(message.encode() if isinstance(message, str) else message, self.provider)
        if not isinstance(found, dict):
            raise self.nonsense("what is no message")
        self._read(found)

    @abstractmethod
    def _read(self, message: dict[str, Any]) -> None:
        """Messages of a type that is not known are left alone: vendors add some."""

    def closed(self, code: int, reason: str) -> None:
        """The vendor closed the connection: well, if it knew that this was the end. `code`: RFC 6455, 7.4."""
        if not self.ending or code != CloseCode.NORMAL_CLOSURE:
            raise self._close_error(code, reason)
        self.done = True

    @abstractmethod
    def _close_error(self, code: int, reason: str) -> ProviderError: ...

    @abstractmethod
    def _heard(self) -> Heard: ...

    def transcript(self, audio_ms: int) -> Transcript:
        heard = self._heard()
        known = [word.confidence for word in heard.words if word.confidence is not None]
        return Transcript(
            heard.text,
            heard.language if self.language == "auto" else self.language,
            audio_ms=audio_ms,
            decode="stream",
            served_by=self.served_by,
            confidence=fmean(known) if known else None,
            words=heard.words,
        )

    def nonsense(self, what: str) -> ProviderUnavailable:
        return ProviderUnavailable(f"{self.provider} sent {what}", provider=self.provider)

    def broke_off(self, reason: str) -> ProviderUnavailable:
        line = f"{self.provider} broke off: {without_quotes(reason)}"
        return ProviderUnavailable(line, provider=self.provider)

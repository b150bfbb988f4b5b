"""An attempt to answer: what is known about the utterance so far, and the reply in the making.

An attempt starts in every pause of the caller. It is cancelled when the caller goes on, and becomes the
turn's answer when the turn is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.dialog.reply import Reply
from engine.providers.base import ChatDelta, Transcript
from engine.speech.clauses import ClauseCutter


@dataclass(slots=True)
class Attempt:
    """`through`: sample just after the last speech sample; `stamps`: monotonic seconds by stage."""

    id: int
    through: int
    stamps: dict[str, float]
    transcript: Transcript | None = None
    probability: float | None = None
    scored: bool = False
    committed: bool = False
    facts: tuple[str, ...] = ()
    reply: Reply | None = None
    cutter: ClauseCutter = field(default_factory=ClauseCutter)
    tokens: dict[str, int] = field(default_factory=dict)

    @property
    def speech_end(self) -> float:
        return self.stamps["speech_end"]

    @property
    def ready(self) -> bool:
        """Whether there is something that the caller could hear."""
        return self.reply is not None and next(self.reply.releasable(), None) is not None

    def silence_ms(self, now: float) -> float:
        return (now - self.speech_end) * 1000

    def stamp(self, name: str, now: float) -> None:
        """Note when something happened first."""
        self.stamps.setdefault(name, now)

    def count_tokens(self, delta: ChatDelta) -> None:
        counts = {
            "prompt": delta.prompt_tokens,
            "cached": delta.cached_tokens,
            "completion": delta.completion_tokens,
        }
        self.tokens |= {name: count for name, count in counts.items() if count is not None}

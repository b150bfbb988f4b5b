"""An attempt to answer: what is known about the utterance so far, and the reply in the making.

An attempt starts in every pause of the caller. It is cancelled when the caller goes on, and becomes the
turn's answer when the turn is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.dialog.endpoint import Evidence
from engine.dialog.events import Stage
from engine.dialog.reply import Kind, Reply
from engine.providers.base import ChatDelta, Decision, Route, Transcript
from engine.speech.clauses import ClauseCutter


@dataclass(slots=True)
class Attempt:
    """`through`: sample just after the last speech sample; `stamps`: monotonic seconds by stage."""

    id: int
    through: int
    stamps: dict[str, float]
    begun: bool = False
    """Whether its work was asked for: in a pause that is still very short it may be put off."""
    intonation_asked: bool = False
    transcript: Transcript | None = None
    intonation: float | None = None
    words: float | None = None
    """Probabilities that the turn is over: the turn model's, and that of the words alone."""
    waiting_for: set[Stage] = field(default_factory=set)
    """Witnesses of the end of turn that have not spoken yet."""
    by_keys: bool = False
    """Pressed, not said: nothing can be added to it by voice."""
    unbroken: bool = False
    """Nobody paused: noise went on too long to wait for its end."""
    recovered: bool = False
    """Its turn stands in the journal of an actor that died; the audio is gone."""
    vain: dict[str, int] = field(default_factory=dict)
    """What was made for nothing in this turn before this attempt."""
    served: dict[str, str] = field(default_factory=dict)
    """Stage -> the model or vendor that did it."""
    routes: dict[str, list[Decision]] = field(default_factory=dict)
    """Stage -> what was decided where not simply the first of its chain answered."""
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
        return self.reply is not None and next(self.reply.playable(), None) is not None

    def silence_ms(self, now: float) -> float:
        return (now - self.speech_end) * 1000

    @property
    def evidence(self) -> Evidence:
        """What is known about whether the turn is over."""
        heard = self.transcript or Transcript("")
        courtesy = self.reply is not None and self.reply.kind in (Kind.COURTESY, Kind.CLOSING)
        doubt = heard.avg_logprob if heard.language.startswith("en") else None  # others were not tried
        return Evidence(heard.text, self.intonation, self.words, doubt, courtesy)

    def serve(self, stage: str, by: str, route: Route = ()) -> None:
        """Note who did a stage, and how it came to that."""
        if by:
            self.served[stage] = by
        if route:
            self.routes.setdefault(stage, []).extend(route)

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

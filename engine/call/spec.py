"""What the two sides of a call tell each other besides the link's batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.dialog.events import PieceHeard
from engine.errors import ParleyError
from models import AgentConfig, CallKey


class ActorLost(ParleyError):
    """The call's actor died, hangs or cannot be reached: another can take the call over."""


class NotThisCall(ParleyError):
    """The actor does not, or no longer, hold that attachment: the call is over or with another edge."""


@dataclass(frozen=True, slots=True)
class CallSpec:
    """A call as it was admitted. `events`: the client is trusted to hear what happens (never a carrier)."""

    call_id: str
    company_id: str
    agent: AgentConfig
    company_limit: int = 8
    """Calls that the company may have at once."""
    events: bool = False
    caller: str = ""
    called: str = ""
    max_call_s: float = 1800.0
    provider_keys: Mapping[str, str] = field(default_factory=dict)
    """The company's own, sealed: vendor -> key."""
    grace_s: float = 4.0
    """How long the call outlives its edge."""

    @property
    def key(self) -> CallKey:
        return CallKey(self.company_id, self.call_id)


@dataclass(frozen=True, slots=True)
class Attach:
    """An edge takes a call to an actor. `epoch` grows with every attachment of the call.

    `first_kept`: the link number at which the edge begins to tell. `received`: how many commands of this very
    actor the edge has, None when it has none: a new edge, or a new actor. `pieces`: what became of the audio
    that the edge was given.
    """

    spec: CallSpec
    epoch: int
    first_kept: int = 0
    received: int | None = None
    pieces: tuple[PieceHeard, ...] = ()
    reason: str = "answered"


@dataclass(frozen=True, slots=True)
class Attached:
    """`position`: the sample of call audio at which a new edge begins to count."""

    epoch: int
    position: int

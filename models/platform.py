"""What requests and answers about agents, numbers, knowledge and calls consist of."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from models.accounts import Request, Update
from models.agent import Example, Phrases, Providers, TurnTaking
from models.call import CallRecord, Turn
from models.fields import E164, Id, Language, Name, Phrase, Prompt

VoiceName = Annotated[str, StringConstraints(max_length=128, pattern=r"^([a-z]{2,32}:)?[A-Za-z0-9_.-]*$")]
"""A local voice's name, or VENDOR:VOICE: providers other than that vendor then use their own."""
VariableName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Variables = Annotated[dict[VariableName, Phrase], Field(max_length=50)]


class PhrasesIn(Phrases):
    """The agent's fixed phrases, each with its bounds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for name, text in self.model_dump().items():
            if not text.strip() or len(text) > 500 or not text.isprintable():
                raise ValueError(f"{name}: 1 to 500 printable characters")
        return self


class TurnTakingIn(TurnTaking):
    """Turn-taking whose waits are in order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.pause_ms <= self.commit_ms <= self.unsure_ms <= self.patient_ms <= 10_000:
            raise ValueError("pause_ms <= commit_ms <= unsure_ms <= patient_ms <= 10000 does not hold")
        return self


ProviderName = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,32}$")]
Chain = Annotated[tuple[ProviderName, ...], Field(max_length=8)]


class ProvidersIn(Providers):
    """Who serves an agent; that each name is known is checked by the service."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    stt: Chain = ()
    llm: Chain = ()
    tts: Chain = ()


class ExampleIn(Example):
    """A worked exchange, with its bounds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for name, text in self.model_dump().items():
            if len(text) > 2_000:
                raise ValueError(f"{name}: 2000 characters at most")
        return self


class CreateAgent(Request):
    name: Name
    language: Language = "en"
    voice: VoiceName = ""
    prompt: Prompt = "You answer the phone for a company. Answer briefly, only from the facts."
    variables: Variables = Field(default_factory=dict)
    examples: tuple[ExampleIn, ...] = Field(default=(), max_length=20)
    phrases: PhrasesIn = PhrasesIn()
    turn_taking: TurnTakingIn = TurnTakingIn()
    providers: ProvidersIn = ProvidersIn()
    max_tokens: int = Field(default=60, ge=1, le=4096)
    temperature: float = Field(default=0.0, ge=0, le=2)
    min_score: float = Field(default=0.43, ge=-1, le=1)
    passages: int = Field(default=2, ge=1, le=20)
    record: bool = False
    recording_notice: Phrase | Literal[""] = ""
    max_call_s: float | None = Field(default=None, ge=10, le=86_400)


class UpdateAgent(Update):
    name: Name | None = None
    language: Language | None = None
    voice: VoiceName | None = None
    prompt: Prompt | None = None
    variables: Variables | None = None
    examples: tuple[ExampleIn, ...] | None = Field(default=None, max_length=20)
    phrases: PhrasesIn | None = None
    turn_taking: TurnTakingIn | None = None
    providers: ProvidersIn | None = None
    max_tokens: int | None = Field(default=None, ge=1, le=4096)
    temperature: float | None = Field(default=None, ge=0, le=2)
    min_score: float | None = Field(default=None, ge=-1, le=1)
    passages: int | None = Field(default=None, ge=1, le=20)
    record: bool | None = None
    recording_notice: Phrase | Literal[""] | None = None
    max_call_s: float | None = Field(default=None, ge=10, le=86_400)


class CreateNumber(Request):
    number: E164
    agent_id: Id


class UpdateNumber(Update):
    agent_id: Id


class AskTestCall(Request):
    """`call_id`: of a live test call whose socket was lost, to go on with it; none starts a new one."""

    call_id: Id | None = None


class TestCall(BaseModel):
    """Where a client of the media protocol reaches the agent: good for one connection, soon."""

    __test__ = False
    url: str
    call_id: str


class Voice(BaseModel):
    name: str
    about: str
    licence: str


class TurnDetail(Turn):
    """A turn with its times (Unix, ms), who served it and what it cost."""

    said: str = ""
    """What the agent was about to say; `agent` is what was heard of it."""
    kind: str = ""
    served: dict[str, str] = Field(default_factory=dict)
    routes: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)
    """Stage -> what was decided (provider, what, after_ms) where not simply the first provider answered."""
    tokens: dict[str, int] = Field(default_factory=dict)
    at_ms: float = 0.0


class CallDetail(BaseModel):
    call: CallRecord
    turns: list[TurnDetail]


class Line(BaseModel):
    """Something that was said. `start_ms`, `end_ms`: since the call began."""

    speaker: str
    text: str
    start_ms: int
    end_ms: int


class Transcript(BaseModel):
    call_id: str
    started_at: AwareDatetime
    lines: list[Line]


class Forgotten(BaseModel):
    """`calls`: that were removed; `live`: that go on, and were not."""

    calls: int
    live: int


class Passages(BaseModel):
    """What a search found, best first."""

    items: list[FoundPassage]


class FoundPassage(BaseModel):
    text: str
    score: float
    source: str
    page: int | None
    document_id: str


class Query(Request):
    query: Phrase
    limit: int = Field(default=5, ge=1, le=50)

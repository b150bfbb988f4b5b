"""What an operator chooses for one agent."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from models.document import TenantDocument


class Example(BaseModel):
    """A worked exchange shown to the model: facts, what a caller says, what the agent answers."""

    model_config = ConfigDict(frozen=True)
    facts: str
    caller: str
    agent: str


class Phrases(BaseModel):
    """Fixed things the agent says. They are synthesised once for each voice and kept."""

    model_config = ConfigDict(frozen=True)
    greeting: str = "Hello, how can I help you?"
    unknown: str = "I am sorry, I do not know that. I can take a message for the team."
    filler: str = "One moment."
    still_there: str = "Are you still there?"
    apology: str = "I am sorry, something went wrong on our side. Please call again later."
    not_heard: str = "Sorry, I did not catch that. Could you say it again?"
    can_hear: str = "Yes, I can hear you. How can I help?"
    go_ahead: str = "Yes, how can I help you?"
    welcome: str = "You are welcome. Is there anything else?"
    time_limit: str = "I am sorry, this call has reached its time limit. Goodbye."
    closing: str = "Thank you for calling. Goodbye."


class Providers(BaseModel):
    """Who serves this agent, in order of preference; an empty chain means the installation's own."""

    model_config = ConfigDict(frozen=True)
    stt: tuple[str, ...] = ()
    llm: tuple[str, ...] = ()
    tts: tuple[str, ...] = ()


class TurnTaking(BaseModel):
    """When the agent speaks and when it yields. Times in ms."""

    model_config = ConfigDict(frozen=True)
    pause_ms: int = Field(default=64, ge=60, le=1000, description="silence that starts speculation")
    commit_ms: int = Field(default=240, ge=60, description="silence that ends a turn which sounds complete")
    unsure_ms: int = Field(default=760, ge=100, description="silence that ends a turn which may be complete")
    patient_ms: int = Field(default=1200, ge=200, description="silence that ends an unfinished turn")
    complete_above: float = Field(default=0.5, ge=0, le=1, description="probability: sounds complete")
    interruptible: bool = True
    greeting_interruptible: bool = True
    closing_interruptible: bool = False
    filler_after_ms: int = Field(default=2200, ge=200)
    still_there_after_ms: int = Field(default=12_000, ge=1000)
    hang_up_after_ms: int = Field(default=10_000, ge=1000, description="silence after `still_there`")


class AgentConfig(BaseModel):
    """One agent of one company."""

    model_config = ConfigDict(frozen=True)
    id: str
    company_id: str
    name: str = "Agent"
    language: str = "en"
    voice: str = ""
    prompt: str = "You answer the phone for a company. Answer briefly, only from the facts."
    examples: tuple[Example, ...] = ()
    """Worked exchanges for small models; none means the installation's starter examples."""
    phrases: Phrases = Phrases()
    turn_taking: TurnTaking = TurnTaking()
    providers: Providers = Providers()
    max_tokens: int = Field(default=60, ge=1, le=4096)
    temperature: float = Field(default=0.0, ge=0, le=2)
    min_score: float = Field(default=0.43, description="below it a passage does not answer the question")
    passages: int = Field(default=2, ge=1, le=20, description="passages given to the model for a turn")
    record: bool = False
    recording_notice: str = ""
    """Said before the greeting where calls are recorded."""
    max_call_s: float | None = None

    @property
    def opening(self) -> str:
        """The first thing that a caller hears."""
        notice = f"{self.recording_notice} " if self.record and self.recording_notice else ""
        return notice + self.phrases.greeting


class Agent(TenantDocument):
    """An agent as its company edits it. Callers hear what was published last, not this draft.

    `published_version`: the `version` of the draft that was published; None: callers hear nothing yet.
    """

    config: AgentConfig
    variables: dict[str, str] = Field(default_factory=dict)
    """What `{{name}}` in prompt and phrases stands for when the agent is published."""
    published_version: int | None = None

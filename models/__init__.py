"""Documents and schemas, in Pydantic. Nothing in here imports the engine."""

from models.agent import AgentConfig, Example, Phrases, TurnTaking
from models.call import Call, CallEvent, Turn
from models.company import Company

__all__ = ["AgentConfig", "Call", "CallEvent", "Company", "Example", "Phrases", "Turn", "TurnTaking"]

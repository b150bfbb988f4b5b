"""Documents and schemas, in Pydantic. Nothing in here imports the engine."""

from models.agent import Agent, AgentConfig, Example, Phrases, TurnTaking
from models.call import CallEvent, CallKey, CallRecord, Turn
from models.company import Company
from models.document import Document, TenantDocument
from models.ids import dated_id, new_id
from models.knowledge import KnowledgeDocument
from models.number import PhoneNumber
from models.user import ApiKey, ProviderKey, RefreshToken, ResetToken, Role, User

__all__ = [
    "Agent",
    "AgentConfig",
    "ApiKey",
    "CallEvent",
    "CallKey",
    "CallRecord",
    "Company",
    "Document",
    "Example",
    "KnowledgeDocument",
    "PhoneNumber",
    "Phrases",
    "ProviderKey",
    "RefreshToken",
    "ResetToken",
    "Role",
    "TenantDocument",
    "Turn",
    "TurnTaking",
    "User",
    "dated_id",
    "new_id",
]

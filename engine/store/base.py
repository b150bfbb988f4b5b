"""The store's interface. Tenant data cannot be asked for without a company."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.errors import ParleyError
from models import AgentConfig, CallEvent, Company


class Conflict(ParleyError):
    """Another writer was first: the row exists with other content."""


class Store(Protocol):
    """Every write is durable when it returns. Safe with several processes on one machine."""

    async def put_company(self, company: Company) -> None: ...
    async def company(self, company_id: str) -> Company | None: ...
    async def put_agent(self, agent: AgentConfig) -> None: ...
    async def agent(self, company_id: str, agent_id: str) -> AgentConfig | None: ...

    async def append_events(self, events: Sequence[CallEvent]) -> None:
        """Write all or none. Writing the same event again changes nothing.

        Raises Conflict when an event with the same (call_id, seq) and other content stands there.
        """
        ...

    async def events(self, company_id: str, call_id: str) -> list[CallEvent]:
        """A call's journal in order; empty when the company has no such call."""
        ...

    async def spend_token(self, token_id: str, expires: float) -> bool:
        """Whether this token was never spent; then it is. Forgotten after `expires` (Unix time, s)."""
        ...

    async def open_calls(self) -> list[tuple[str, str]]:
        """(company_id, call_id) of every call that began and has no `call_ended`."""
        ...

    async def close(self) -> None: ...

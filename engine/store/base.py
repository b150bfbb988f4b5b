"""The store's interface. Tenant data cannot be asked for without a company."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from engine.errors import ParleyError
from engine.store.documents import COMPANIES, Documents
from models import AgentConfig, CallEvent, Company


class Conflict(ParleyError):
    """Another writer was first: the row exists with other content."""


class Store(Protocol):
    """Every write is durable when it returns. What a live call waits for (its events, its line in the list of
    calls, its spent token) outlives every process, and the machine's power once its end is in that list.
    Safe with several processes on one machine."""

    documents: Documents

    async def company(self, company_id: str) -> Company | None: ...

    async def publish_agent(self, agent: AgentConfig) -> None:
        """What callers hear from now on; calls that live keep what they began with."""
        ...

    async def unpublish_agent(self, company_id: str, agent_id: str) -> None: ...

    async def agent(self, company_id: str, agent_id: str) -> AgentConfig | None:
        """The published agent."""
        ...

    async def append_events(self, events: Sequence[CallEvent]) -> None:
        """Write all or none. Writing the same event again changes nothing.

        Raises Conflict when an event with the same (company_id, call_id, seq) and other content stands
        there. Companies cannot meet: a carrier's id of a call is unique in one of them alone.
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

    async def delete_events(self, company_id: str, call_id: str) -> None:
        """Forget a call's journal."""
        ...

    async def forget_company(self, company_id: str) -> None:
        """Delete its journals and published agents; its documents are `documents`' to delete."""
        ...

    async def close(self) -> None: ...


async def put_company(store: Store, company: Company) -> None:
    """Make this the company of its id, whether there was one or not."""
    there = await store.company(company.id)
    if there is None:
        await store.documents.insert(COMPANIES, company)
    else:
        await store.documents.replace(COMPANIES, company.model_copy(update={"version": there.version}))

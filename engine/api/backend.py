"""What the API needs from the installation around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Protocol, TypeVar

from engine.errors import ProviderTimeout
from engine.services.calls import LiveCalls

DEMO_COMPANY = "demo"
DEMO_AGENT = "demo"
DEADLINE_S = 2.0

Answer = TypeVar("Answer")


class ApiBackend(LiveCalls, Protocol):
    """Every method may raise a ParleyError; the API gives each of them `DEADLINE_S` through `ask`."""

    async def metrics(self) -> str:
        """The installation's figures, in Prometheus' text format."""
        ...

    async def agent_for_number(self, number: str) -> tuple[str, str] | None:
        """(company_id, agent_id) of whoever answers this number; None when nobody does."""
        ...

    async def ready(self) -> Mapping[str, str | None]:
        """Each part that calls need -> None when it is ready, else why not."""
        ...


async def ask(question: Awaitable[Answer]) -> Answer:
    """The backend's answer. Raises ProviderTimeout at the deadline, and what the backend raises."""
    try:
        async with asyncio.timeout(DEADLINE_S):
            return await question
    except TimeoutError as error:
        raise ProviderTimeout(
            "the call service did not answer in time: try again", provider="calls"
        ) from error

"""What the API needs from the installation around it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from typing import Protocol, TypeVar

from engine.errors import ProviderTimeout
from models import CallKey

DEMO_COMPANY = "demo"
DEMO_AGENT = "demo"
DEADLINE_S = 2.0

Answer = TypeVar("Answer")


class ApiBackend(Protocol):
    """Every method may raise a ParleyError; the API gives each of them `DEADLINE_S` through `ask`."""

    async def capacity(self, company_id: str) -> str | None:
        """None when one more call of this company would be admitted, else why not."""
        ...

    async def live(self, call: CallKey) -> bool:
        """Whether the call goes on: it is connected, or waits for its carrier to reconnect."""
        ...

    async def wind_up(self, call: CallKey) -> None:
        """Have a call's agent say goodbye and hang up; nothing where the call is over."""
        ...

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

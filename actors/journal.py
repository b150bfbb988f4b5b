"""The recorder as a call sees it. Apart from the recorder, so that a call's process loads no database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ray.exceptions import RayError

from engine.call.services import JournalFenced, JournalLost
from models.call import CallEvent


class RemoteJournal:
    """The recorder as a conductor's `Journal`."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def append(self, events: Sequence[CallEvent]) -> None:
        if not await self._ask(self._actor.append.remote(list(events))):
            raise JournalFenced("the journal is written by another actor")

    async def read(self, company_id: str, call_id: str) -> Sequence[CallEvent]:
        events: list[CallEvent] = await self._ask(self._actor.read.remote(company_id, call_id))
        return events

    async def _ask(self, answer: Any) -> Any:
        try:
            return await answer
        except RayError as error:
            raise JournalLost(f"the recorder does not answer: {type(error).__name__}") from error

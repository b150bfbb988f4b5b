"""The recorder: the one writer of journals on a machine with an embedded store."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

import ray

from actors import NAMESPACE, RECORDER
from actors.node import refuse_several_nodes
from engine.call.services import JournalFenced
from engine.config import settings
from engine.store import Conflict
from engine.store.sqlite import SqliteStore
from models.call import CallEvent

log = logging.getLogger("parley.recorder")


class Recorder:
    """Appends and reads journals. Restarted by Ray when it dies: what it acknowledged is on disk."""

    def __init__(self) -> None:
        refuse_several_nodes("SQLite")
        self._store = SqliteStore(settings().data_dir / "parley.db")

    async def append(self, events: Sequence[CallEvent]) -> bool:
        """Durable when it returns True; False when another actor wrote these numbers."""
        try:
            await self._store.append_events(events)
        except Conflict:
            return False
        return True

    async def read(self, company_id: str, call_id: str) -> list[CallEvent]:
        return await self._store.events(company_id, call_id)

    async def close(self, company_id: str, call_id: str, reason: str) -> None:
        """End the journal of a call whose actor cannot do it any more; one that ended stays as it is."""
        events = await self._store.events(company_id, call_id)
        if not events or events[-1].kind == "call_ended":
            return
        ended = CallEvent(
            call_id=call_id,
            company_id=company_id,
            seq=events[-1].seq + 1,
            kind="call_ended",
            at_ms=time.time() * 1000,
            data={"reason": reason},
        )
        try:
            await self._store.append_events([ended])
        except Conflict:
            log.info("call %s is still written by its actor", call_id)

    async def close_all(self, reason: str) -> int:
        """End the journals that a server which did not stop in order left open; returns how many."""
        calls = await self._store.open_calls()
        for company_id, call_id in calls:
            await self.close(company_id, call_id, reason)
        return len(calls)


def recorder() -> Any:
    """The cluster's recorder, started when there is none."""
    options = {"name": RECORDER, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
    return (
        ray.remote(Recorder)
        .options(**options, num_cpus=0, max_restarts=-1, max_task_retries=2, max_concurrency=1000)
        .remote()
    )


class RemoteJournal:
    """The recorder as a conductor's `Journal`."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def append(self, events: Sequence[CallEvent]) -> None:
        if not await self._actor.append.remote(list(events)):
            raise JournalFenced("the journal is written by another actor")

    async def read(self, company_id: str, call_id: str) -> Sequence[CallEvent]:
        events: list[CallEvent] = await self._actor.read.remote(company_id, call_id)
        return events

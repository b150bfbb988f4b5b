"""The recorder: the one writer of journals and recordings, be the store embedded or not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError

from actors import NAMESPACE, RECORDER
from actors.named import NamedActor
from actors.node import freeze_objects, refuse_several_nodes
from engine.call.record import put_record, record_of
from engine.call.recording import NotRecorded
from engine.call.tape import Block
from engine.config import settings
from engine.errors import ParleyError
from engine.logs import set_up_logging
from engine.metrics import CallMetrics
from engine.services.calls import end_lines
from engine.services.housekeeping import Housekeeping
from engine.store import Conflict
from engine.store.open import StoreOpener
from engine.store.recordings import Recordings
from models.call import CallEvent

log = logging.getLogger("parley.recorder")
T = TypeVar("T")

HOUSEKEEPING_S = 3600.0
LISTED = frozenset({"call_started", "call_ended"})
"""Kinds of events that change a call's line in the list."""


class Recorder:
    """Appends and reads journals, writes recordings. Restarted by Ray: what it acknowledged outlives it."""

    def __init__(self) -> None:
        set_up_logging()
        if settings().mongodb_url is None:
            refuse_several_nodes("SQLite")
        self._store = StoreOpener(settings())
        self._recordings = Recordings(settings().data_dir / "recordings")
        # One thread: files are written one block after the other, and never on the loop of the journals.
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="recordings")
        self._metrics = CallMetrics()
        self._listing: set[asyncio.Task[None]] = set()
        self._house = asyncio.create_task(self._keep_house())
        freeze_objects()

    async def _keep_house(self) -> None:
        """Every hour, remove what has passed its time. Before: what this actor left undone when it died."""
        while True:
            await self._end_lines()
            await asyncio.sleep(HOUSEKEEPING_S)
            try:
                swept = await Housekeeping(await self._store.get(), self._recordings).sweep()
                log.info("housekeeping: %d calls and %d tokens are gone", swept.calls, swept.tokens)
            except ParleyError as error:
                log.warning("housekeeping is put off: %s", error)

    async def _end_lines(self) -> None:
        try:
            if ended := await end_lines(await self._store.get()):
                log.info("the list of calls was behind: %d calls had ended", ended)
        except (ParleyError, ValueError) as error:
            log.warning("the list of calls may be behind its journals: %s", error)

    async def append(self, events: Sequence[CallEvent]) -> bool:
        """Outlives every process when it returns True; False when another actor wrote these numbers."""
        try:
            await (await self._store.get()).append_events(events)
        except Conflict:
            return False
        self._metrics.saw(events)
        if any(event.kind in LISTED for event in events):
            # Nobody on the line waits for the list of calls.
            task = asyncio.create_task(self._list(events[0].company_id, events[0].call_id))
            self._listing.add(task)
            task.add_done_callback(self._listing.discard)
        return True

    async def _list(self, company_id: str, call_id: str) -> None:
        """Bring the call's line in the list of calls up to its journal."""
        try:
            store = await self._store.get()
            await put_record(store, record_of(await store.events(company_id, call_id)))
        except ParleyError as error:
            log.error("call %s: not in the list of calls: %s", call_id, error)

    async def metrics(self) -> str:
        """What was written since this actor began, in Prometheus' text format."""
        return self._metrics.text()

    async def read(self, company_id: str, call_id: str) -> list[CallEvent]:
        return await (await self._store.get()).events(company_id, call_id)

    async def spend(self, token_id: str, expires: float) -> bool:
        """Whether a media token is used for the first time; remembered on disk until it expires."""
        return await (await self._store.get()).spend_token(token_id, expires)

    async def close(self, company_id: str, call_id: str, reason: str) -> None:
        """End the journal of a call whose actor cannot do it any more; one that ended stays as it is."""
        store = await self._store.get()
        events = await store.events(company_id, call_id)
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
        if not await self.append([ended]):
            log.info("call %s is still written by its actor", call_id)

    async def close_all(self, reason: str) -> int:
        """End the journals that a server which did not stop in order left open; returns how many."""
        calls = await (await self._store.get()).open_calls()
        for company_id, call_id in calls:
            await self.close(company_id, call_id, reason)
        return len(calls)

    async def recorded(self, company_id: str, call_id: str) -> int:
        """How many seconds of a call are recorded; raises Refused or UsageError."""
        return await self._on_disk(self._recordings.blocks, company_id, call_id)

    async def record(self, company_id: str, call_id: str, block: Block) -> None:
        """Append a second; one that was missed is silence, one that is there stays. Raises as `recorded`."""
        await self._on_disk(self._recordings.write, company_id, call_id, block)

    async def _on_disk(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, work, *arguments)


def recorder() -> Any:
    """The cluster's recorder, started when there is none."""
    options = {"name": RECORDER, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
    return (
        ray.remote(Recorder)
        .options(**options, num_cpus=0, max_restarts=-1, max_task_retries=2, max_concurrency=1000)
        .remote()
    )


class RemoteRecording:
    """The recorder as an edge's `Recording` of one call."""

    def __init__(self, company_id: str, call_id: str) -> None:
        self._ids = (company_id, call_id)
        self._recorder = NamedActor(RECORDER)

    async def begin(self) -> int:
        return await self._ask(lambda actor: actor.recorded.remote(*self._ids))

    async def write(self, block: Block) -> None:
        await self._ask(lambda actor: actor.record.remote(*self._ids, block))

    async def _ask(self, call: Callable[[Any], Awaitable[T]]) -> T:
        try:
            return await self._recorder.ask(call)
        except (RayError, ValueError) as error:
            raise NotRecorded((str(error).strip().splitlines() or [type(error).__name__])[-1]) from error

"""One call, one actor. Recycled: one call at a time, many in its life."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayActorError
from ray.serve.exceptions import RayServeException

from actors import NAMESPACE, RECORDER, SWITCHBOARD
from actors.journal import RemoteJournal
from actors.named import NamedActor
from actors.node import freeze_objects
from actors.services import Providers, handles
from engine.call.conductor import Conductor
from engine.call.services import Services
from engine.call.spec import Attach, Attached, CallSpec, NotThisCall
from engine.config import settings
from engine.dialog.commands import EdgeCommand
from engine.dialog.events import EdgeEvent
from engine.link import Batch
from engine.logs import bind, set_up_logging
from engine.providers.base import Speech, SpeechRequest
from engine.providers.installation import local_kinds
from models import CallKey

if TYPE_CHECKING:
    from engine.providers.stub import StubDelays

log = logging.getLogger("parley.call")

APPLICATION_POLL_S = 0.2
SWITCHBOARD_POLL_S = 0.5
CLEAN_UP_S = 2.0


class CallActor:
    """Ray glue around a `Conductor`. The edge attaches, tells what it hears and polls for commands.

    `stubs`: instead of the models, in-process stubs with these delays.
    """

    def __init__(self, stubs: StubDelays | None = None) -> None:
        set_up_logging()
        self._stubs = stubs
        self._name = ray.get_runtime_context().get_actor_name() or ""
        self._services: Callable[[CallSpec], Services] | None = None
        self._switchboard = NamedActor(SWITCHBOARD)
        self._conductor: Conductor | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._calls = 0
        self._kept: dict[SpeechRequest, Speech] = {}

    async def warm(self) -> str:
        """Open the way to every deployment, so that the first turn does not pay for it.

        While the cluster starts the applications may not be there yet: then this waits for them.
        """
        journal = RemoteJournal(ray.get_actor(RECORDER, NAMESPACE))
        if self._stubs is not None:
            from actors.stubs import stub_services

            stubs = stub_services(self._stubs, journal)
            self._services = lambda _: stubs
            freeze_objects()
            return self._name
        kinds = {"knowledge", *local_kinds(settings())}
        while True:
            try:
                opened = handles(kinds)
                break
            except RayServeException:
                await asyncio.sleep(APPLICATION_POLL_S)
        await asyncio.gather(*(handle.info.remote() for handle in opened.values()))
        self._services = Providers(settings(), opened, journal).services
        freeze_objects()
        return self._name

    async def attach(self, attach: Attach) -> Attached:
        """Begin a call, take one over, or go on with one whose edge was replaced."""
        current = self._conductor
        if current is not None and current.spec.key == attach.spec.key and not current.finished.is_set():
            current.reattach(attach)
            return Attached(attach.epoch, current.position)
        if current is not None:
            raise NotThisCall(f"{self._name} is busy with another call")
        if self._services is None:
            await self.warm()
        assert self._services is not None
        self._calls += 1
        bind(call_id=attach.spec.call_id, company_id=attach.spec.company_id)
        conductor = Conductor(attach, self._services(attach.spec), kept=self._kept)
        self._conductor = conductor
        try:
            await conductor.start()
        except BaseException:
            self._conductor = None
            await conductor.stop()
            raise
        self._keeper = asyncio.create_task(self._keep(conductor), name=f"keep {attach.spec.call_id}")
        return Attached(attach.epoch, conductor.position)

    async def hear(self, call: CallKey, epoch: int, batch: Batch[EdgeEvent]) -> int:
        return self._of(call, epoch).hear(batch)

    async def commands(self, call: CallKey, epoch: int, received: int, settled: int) -> Batch[EdgeCommand]:
        return await self._of(call, epoch).commands(received, settled)

    async def hang_up(self, call: CallKey, reason: str) -> None:
        """The call is over on the carrier's side, whoever knows it.

        Returns when its lease is given back: a carrier that asks what comes next is not told to reconnect.
        """
        if self._conductor is None or self._conductor.spec.key != call:
            return
        self._conductor.hang_up(reason)
        if self._keeper is not None:
            await asyncio.wait({self._keeper}, timeout=CLEAN_UP_S)

    async def wind_up(self, call: CallKey) -> None:
        """The server stops: say goodbye and end the call."""
        if self._conductor is not None and self._conductor.spec.key == call:
            self._conductor.wind_up()

    async def stats(self) -> dict[str, Any]:
        """What the switchboard wants to know before it lends this actor again."""
        call = self._conductor.spec.call_id if self._conductor is not None else None
        return {"name": self._name, "pid": os.getpid(), "calls": self._calls, "call_id": call}

    def _of(self, call: CallKey, epoch: int) -> Conductor:
        conductor = self._conductor
        if conductor is None or conductor.spec.key != call or conductor.epoch != epoch:
            raise NotThisCall(f"{self._name} does not hold attachment {epoch} of call {call.call_id}")
        return conductor

    async def _keep(self, conductor: Conductor) -> None:
        """Clean up after the call, then tell the switchboard that this actor is free."""
        await conductor.finished.wait()
        await conductor.drained()
        await conductor.stop()
        self._conductor = None
        log.info("call %s ended", conductor.spec.call_id)
        key = conductor.spec.key
        # A switchboard that is started again looks for free actors, but may have asked this one too early.
        while self._conductor is None:
            try:
                await self._switchboard.ask(lambda board: board.finished.remote(key, self._name))
                break
            except (RayActorError, ValueError):
                await asyncio.sleep(SWITCHBOARD_POLL_S)

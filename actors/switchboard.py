"""The switchboard: the one place where a call is admitted and an actor lent. One a cluster.

A lease lives by the heartbeats of the edge that holds the socket. Everything in here can be rebuilt: a
restarted switchboard learns the leases from the edges' next heartbeats and the actors from Ray.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError

from actors import NAMESPACE, SWITCHBOARD
from actors.call import CallActor
from actors.node import freeze_objects
from actors.recorder import recorder
from engine.config import settings
from engine.errors import NoCapacity, TokenRefused
from engine.logs import set_up_logging
from engine.providers.stub import StubDelays
from models import CallKey

log = logging.getLogger("parley.switchboard")

LEASE_S = 5.0
"""A lease that no edge confirmed for so long is taken back."""
SPARE_CALLS = 2
"""So many stay ready beside the calls that live, where `PARLEY_WARM_CALLS` allows as many."""
WARM_S = 60.0
ADMIT_S, REPLACE_S = 8.0, 8.0
"""Less than an edge waits: who asked is still there when an actor is found.

More callers at the same moment than actors are warm wait for actors to be started, two CPU-seconds each: a
caller would rather wait for these seconds than be turned away.
"""
CLOSE_S = 3.0
LEARNING_S = 1.5
"""After a restart: until every edge's heartbeat was heard nobody is admitted."""
MAX_CALLS_PER_ACTOR = 200
"""Then an actor is retired: whatever leaks in a library stays bounded."""
PREFIX = "call-"


@dataclass(frozen=True, slots=True)
class Admission:
    """What an edge asks for. `token_id` counts once until `token_expires` (Unix time, s)."""

    call: CallKey
    company_limit: int
    token_id: str
    token_expires: float


@dataclass(frozen=True, slots=True)
class Lease:
    """A call's place and its actor. `epoch` counts the attachments."""

    call: CallKey
    actor: str
    epoch: int


@dataclass(slots=True)
class _Held:
    lease: Lease
    seen: float = field(default_factory=time.monotonic)


class Switchboard:
    """Async actor: a method runs alone between its awaits, so checks and grants in one piece are atomic.

    `stubs`: the call actors that it starts have in-process stubs with these delays instead of the models.
    """

    def __init__(self, stubs: StubDelays | None = None) -> None:
        set_up_logging()
        self._stubs = stubs
        self._recorder = recorder()
        self._max_calls = settings().max_calls
        self._warm = settings().warm_calls
        self._leases: dict[CallKey, _Held] = {}
        self._idle: deque[str] = deque()
        self._uses: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        self._ended: dict[CallKey, float] = {}
        self._free = asyncio.Event()
        self._wanted = asyncio.Event()
        self._draining = False
        self._learning_until = 0.0
        self._tasks = [asyncio.create_task(self._refill()), asyncio.create_task(self._reap())]
        self._adopt_actors()
        freeze_objects()

    # Admission

    async def capacity(self, company_id: str, company_limit: int | None = None) -> str | None:
        """Why a call of this company would be refused now; None when it would be admitted."""
        if self._draining:
            return "the server is shutting down"
        if len(self._leases) >= self._max_calls:
            return f"all {self._max_calls} lines are busy"
        # The webhook does not know the limit: it is remembered from the company's last admission.
        company_limit = company_limit or self._limits.get(company_id)
        mine = sum(held.lease.call.company_id == company_id for held in self._leases.values())
        if company_limit is not None and mine >= company_limit:
            return f"the company has {mine} calls, as many as it may have"
        return None

    async def live(self, call: CallKey) -> bool:
        return call in self._leases

    async def admit(self, asked: Admission) -> Lease:
        """Grant a lease; a call that is live gets its own again, with the next epoch.

        Raises TokenRefused for a token that was used before, NoCapacity when there is no place.
        """
        company_id = asked.call.company_id
        self._limits[company_id] = asked.company_limit
        if not await self._recorder.spend.remote(asked.token_id, asked.token_expires):
            raise TokenRefused("the token was used before")
        if (learning := self._learning_until - time.monotonic()) > 0:
            await asyncio.sleep(learning)
        held = self._leases.get(asked.call)
        if held is not None:
            return self._renew(held)
        reason = await self.capacity(company_id, asked.company_limit)
        if reason is not None:
            raise NoCapacity(reason)
        # The place is taken before the wait for an actor: two calls cannot get the same one.
        held = _Held(Lease(asked.call, "", 0))
        self._leases[asked.call] = held
        try:
            held.lease = replace(held.lease, actor=await self._take_actor(ADMIT_S))
        except BaseException:
            self._leases.pop(asked.call, None)
            raise
        held.seen = time.monotonic()
        return held.lease

    def _renew(self, held: _Held) -> Lease:
        held.lease = replace(held.lease, epoch=held.lease.epoch + 1)
        held.seen = time.monotonic()
        return held.lease

    async def replace(self, call: CallKey, dead: str) -> Lease:
        """Another actor for a call whose own died or hangs; raises NoCapacity when the call is over."""
        held = self._leases.get(call)
        if held is None:
            raise NoCapacity("the call is over")
        if held.lease.actor == dead:
            log.warning("call %s: actor %s is replaced", call.call_id, dead)
            self._retire(dead)
            held.lease = replace(held.lease, actor=await self._take_actor(REPLACE_S))
        return self._renew(held)

    async def heartbeat(self, leases: Sequence[Lease]) -> None:
        """An edge confirms the calls whose sockets it holds; unknown ones are learnt."""
        now = time.monotonic()
        for lease in leases:
            held = self._leases.get(lease.call)
            if held is None and lease.call in self._ended:
                continue  # the edge has not heard yet that the call is over
            if held is None:
                log.info("call %s: lease learnt from its edge", lease.call.call_id)
                self._leases[lease.call] = _Held(lease, now)
                with contextlib.suppress(ValueError):
                    self._idle.remove(lease.actor)
            elif held.lease.epoch <= lease.epoch:
                held.seen = now

    async def finished(self, call: CallKey, actor: str) -> None:
        """The call is over and its actor is free, unless that was known before and it is lent again."""
        held = self._leases.get(call)
        if held is not None and held.lease.actor in (actor, ""):
            del self._leases[call]
        self._ended[call] = time.monotonic()
        self._uses[actor] = self._uses.get(actor, 0) + 1
        if self._uses[actor] >= MAX_CALLS_PER_ACTOR:
            self._retire(actor)
        elif actor not in self._idle and not self._lent(actor):
            self._idle.append(actor)
        self._free.set()
        self._wanted.set()

    async def unused(self, lease: Lease) -> None:
        """A socket was gone before its call began: place and actor are free at once.

        Of a call that goes on at, or has been taken over from, another socket nothing changes.
        """
        held = self._leases.get(lease.call)
        if held is not None and held.lease == lease and lease.epoch == 0:
            await self.finished(lease.call, lease.actor)

    # Shutting down

    async def drain(self) -> int:
        """Admit no more; returns how many calls are live."""
        self._draining = True
        return len(self._leases)

    async def wind_up_all(self) -> None:
        for call in list(self._leases):
            await self.wind_up(call)

    async def wind_up(self, call: CallKey) -> None:
        """Let the call's agent say goodbye and hang up; nothing where the call is over."""
        held = self._leases.get(call)
        actor = None if held is None else _actor(held.lease.actor)
        if actor is not None:
            actor.wind_up.remote(call)

    async def stats(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "calls": [call.call_id for call in self._leases],
            "idle": list(self._idle),
            "draining": self._draining,
            "max_calls": self._max_calls,
        }

    # The pool of actors

    async def _take_actor(self, within_s: float) -> str:
        """An idle actor that is alive; waits for one to be started when there is none."""
        deadline = time.monotonic() + within_s
        while True:
            while self._idle:
                name = self._idle.popleft()
                self._wanted.set()
                if _actor(name) is not None:
                    return name
            self._free.clear()
            self._wanted.set()
            try:
                await asyncio.wait_for(self._free.wait(), max(0.0, deadline - time.monotonic()))
            except TimeoutError:
                raise NoCapacity("no call actor could be started") from None

    async def _refill(self) -> None:
        """Keep a few actors warm. One at a time: a cold start costs two CPU-seconds."""
        while True:
            name = f"{PREFIX}{os.getpid()}-{time.monotonic_ns()}"
            waiting = sum(not held.lease.actor for held in self._leases.values())
            room = self._max_calls + 1 - len(self._leases) - len(self._idle)
            if len(self._idle) >= self._spare + waiting or room <= 0:
                self._wanted.clear()
                await self._wanted.wait()
                continue
            try:
                self._idle.append(await asyncio.wait_for(self._start_actor(name), WARM_S))
                self._free.set()
            except (RayError, TimeoutError) as error:
                log.warning("a call actor could not be started: %s", str(error).splitlines()[-1:])
                self._retire(name)
                await asyncio.sleep(1.0)

    @property
    def _spare(self) -> int:
        """How many should be idle: `warm_calls` less those in use, but always some for the next callers.

        More calls than ever before need more actors; that some live is no reason to start as many again.
        """
        return max(min(self._warm, SPARE_CALLS), self._warm - len(self._leases))

    async def _start_actor(self, name: str) -> str:
        options = {"name": name, "namespace": NAMESPACE, "lifetime": "detached", "num_cpus": 0}
        actor_class = ray.remote(CallActor).options(**options, max_restarts=0, max_concurrency=1000)
        actor: Any = actor_class.remote(self._stubs)
        warmed: str = await actor.warm.remote()
        return warmed

    async def _reap(self) -> None:
        """Take back leases that no edge confirms; their actors end the call by themselves first."""
        while True:
            await asyncio.sleep(1.0)
            now = time.monotonic()
            patience = LEASE_S + settings().reconnect_grace_s
            self._ended = {call: at for call, at in self._ended.items() if now - at < LEASE_S}
            for call, held in list(self._leases.items()):
                if now - held.seen > patience and held.lease.actor:
                    log.warning("call %s: no edge holds it any more", call.call_id)
                    del self._leases[call]
                    if not self._lent(held.lease.actor):
                        self._retire(held.lease.actor)
                    self._wanted.set()
                    await self._close_journal(call)

    async def _close_journal(self, call: CallKey) -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await self._recorder.close.remote(*call, "connection lost")
        except (RayError, TimeoutError) as error:
            log.warning("call %s: its journal stays open: %s", call.call_id, type(error).__name__)

    def _lent(self, actor: str) -> bool:
        return any(held.lease.actor == actor for held in self._leases.values())

    def _retire(self, name: str) -> None:
        self._uses.pop(name, None)
        with contextlib.suppress(ValueError):
            self._idle.remove(name)
        actor = _actor(name)
        if actor is not None:
            ray.kill(actor)

    def _adopt_actors(self) -> None:
        """After a restart: actors without a call go back to the pool, the others wait for their edges."""
        for entry in ray.util.list_named_actors(all_namespaces=True):
            if entry["namespace"] == NAMESPACE and entry["name"].startswith(PREFIX):
                self._learning_until = time.monotonic() + LEARNING_S
                self._tasks.append(asyncio.create_task(self._adopt(entry["name"])))

    async def _adopt(self, name: str) -> None:
        actor = _actor(name)
        if actor is None:
            return
        try:
            stats = await asyncio.wait_for(actor.stats.remote(), 5.0)
        except (RayError, TimeoutError):
            self._retire(name)
            return
        if stats["call_id"] is None and name not in self._idle and not self._lent(name):
            self._idle.append(name)
            self._free.set()


def _actor(name: str) -> Any:
    """The actor of that name, None when it is dead or was never there."""
    try:
        return ray.get_actor(name, NAMESPACE) if name else None
    except ValueError:
        return None


def switchboard(stubs: StubDelays | None = None) -> Any:
    """The cluster's switchboard, started when there is none; `stubs` is for the one that is started."""
    options = {"name": SWITCHBOARD, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
    return (
        ray.remote(Switchboard)
        .options(**options, num_cpus=0, max_restarts=-1, max_task_retries=0, max_concurrency=1000)
        .remote(stubs)
    )

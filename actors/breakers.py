"""The breakers of the local deployments, one for each kind in the whole cluster.

A vendor's breaker lives with the vendor's actor, which every request passes. Requests to a local deployment
pass no actor, so calls keep a copy of its breaker's state for a second and tell what became of theirs.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import ray
from ray.exceptions import RayError

from actors import BREAKERS, NAMESPACE
from engine.errors import ProviderError, ProviderRejected
from engine.logs import set_up_logging
from engine.providers.failover.breaker import Breaker

FRESH_S = 1.0
PROBE_S = 5.0


class Breakers:
    """`report` takes what became of requests, and answers with what holds now."""

    def __init__(self) -> None:
        set_up_logging()
        self._breakers: dict[str, Breaker] = {}
        self._probed: dict[str, float] = {}

    async def report(self, name: str, error: ProviderError | None, answers: int) -> tuple[bool, bool]:
        """(it is open, whoever asks may probe it). `error`: a failure; `answers`: since the last report."""
        now = time.monotonic()
        breaker = self._breakers.setdefault(name, Breaker())
        if answers:
            breaker.heard(now)
        if error is not None:
            breaker.late(error, now)
        state = breaker.state(now)
        # A prober that died leaves no outcome: then another may, a while later.
        probe = state == "half-open" and now - self._probed.get(name, -PROBE_S) >= PROBE_S
        if probe:
            self._probed[name] = now
        return state != "closed", probe


def breakers() -> Any:
    """The cluster's, started when there are none. Blocks while Ray is asked."""
    options = {"name": BREAKERS, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
    return ray.remote(Breakers).options(**options, num_cpus=0, max_restarts=-1, max_concurrency=1000).remote()


class SharedGate:
    """One call process's side of a local deployment's breaker. A `Gate`: its answers never wait."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._hub: Any = None
        self._open = self._probe = False
        self._answers = 0
        self._asked = -FRESH_S
        self._telling: set[asyncio.Task[None]] = set()

    def admit(self, now: float) -> bool:
        if now - self._asked >= FRESH_S:
            self._asked = now
            self._tell(None)
        admitted = not self._open or self._probe
        self._probe = False
        return admitted

    def succeeded(self, now: float) -> None:
        """Told with the next question, or at once where that closes the breaker."""
        self._answers += 1
        if self._open:
            self._tell(None)

    def failed(self, error: ProviderError, now: float) -> None:
        if isinstance(error, ProviderRejected):
            self.succeeded(now)
        else:
            self._tell(error)

    def late(self, error: ProviderError, now: float) -> None:
        self._tell(error)

    def abandoned(self) -> None:
        """Nothing is known."""

    def _tell(self, error: ProviderError | None) -> None:
        task = asyncio.create_task(self._report(error))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _report(self, error: ProviderError | None) -> None:
        answers, self._answers = self._answers, 0
        try:
            if self._hub is None:
                self._hub = await asyncio.to_thread(breakers)
            self._open, probe = await self._hub.report.remote(self._name, error, answers)
            self._probe = self._probe or probe
        except (RayError, ValueError):
            # Without the others' word this call goes by nobody's: it asks, and fails over by deadline.
            self._hub, self._open = None, False

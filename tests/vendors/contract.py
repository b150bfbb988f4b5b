"""What the contract suites of all kinds share: a client, its simulator, and what each fault means."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from engine.errors import ProviderError, ProviderRefusesUs, ProviderTimeout, ProviderUnavailable
from engine.providers.vendor import Vendor, VendorOptions
from tests.vendors.simulator import KEY, Fault, VendorSimulator, nowhere

V = TypeVar("V", bound=Vendor)
S = TypeVar("S", bound=VendorSimulator)

SILENCE_S = 0.3

FAULTS: dict[Fault, tuple[type[ProviderError], ...]] = {
    Fault.UNAUTHORISED: (ProviderRefusesUs,),
    Fault.RATE_LIMITED: (ProviderUnavailable,),
    Fault.SERVER_ERROR: (ProviderUnavailable,),
    Fault.BLACK_HOLE: (ProviderTimeout,),
    Fault.SLOW_DRIP: (ProviderTimeout,),
    Fault.DIES: (ProviderUnavailable,),
    Fault.MALFORMED: (ProviderUnavailable,),
    Fault.WRONG_TYPE: (ProviderUnavailable,),
}
"""What a client makes of each fault."""


@dataclass(frozen=True, slots=True)
class Case(Generic[V, S]):
    """`path`: what the vendor's base URL has behind the host. `model`: other than the class's default."""

    client: Callable[[VendorOptions], V]
    simulator: Callable[[], S]
    path: str = ""
    model: str = ""
    extra: tuple[tuple[str, object], ...] = ()

    def options(self, url: str, *, key: str = KEY) -> VendorOptions:
        return VendorOptions(
            api_key=key,
            base_url=url + self.path,
            model=self.model,
            silence_s=SILENCE_S,
            connect_s=1.0,
            extra=dict(self.extra),
        )

    @asynccontextmanager
    async def opened(self, *, key: str = KEY) -> AsyncIterator[tuple[V, S]]:
        """A client, and the running simulator that it asks."""
        simulator = self.simulator()
        async with simulator.serving() as url:
            client = self.client(self.options(url, key=key))
            try:
                yield client, simulator
            finally:
                await client.close()

    @asynccontextmanager
    async def unreachable(self) -> AsyncIterator[V]:
        with nowhere() as url:
            client = self.client(self.options(url))
            try:
                yield client
            finally:
                await client.close()


async def hung_up(simulator: VendorSimulator) -> bool:
    """Whether the client's leaving reaches the simulator, soon."""
    return await asyncio.to_thread(simulator.hung_up.wait, 5.0)


async def cancelled_midway(simulator: VendorSimulator, work: Awaitable[object]) -> None:
    """Start `work` against a black hole, cancel it once the request is there, and see the client hang up."""
    simulator.fault = Fault.BLACK_HOLE
    task = asyncio.ensure_future(work)
    assert await asyncio.to_thread(simulator.swallowed.wait, 5.0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await hung_up(simulator)

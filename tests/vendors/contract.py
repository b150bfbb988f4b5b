"""What the contract suites of all kinds share: a client, who is at its other end, what each fault means.

A test that needs no faults is written for a `FarEnd`: a simulator (`Simulated`), or the vendor itself
(`Real`), which `make test-vendors-live` alone asks, and only where its key is set.
"""

from __future__ import annotations

import asyncio
import difflib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

import pytest

from engine.config import Settings, settings
from engine.errors import ProviderError, ProviderRefusesUs, ProviderTimeout, ProviderUnavailable
from engine.providers.installation import key, vendor
from engine.providers.registry import ENTRIES, Kind, entry
from engine.providers.vendor import Vendor, VendorOptions
from tests.vendors.simulator import KEY, Fault, VendorSimulator, nowhere

V = TypeVar("V", bound=Vendor)
S = TypeVar("S", bound=VendorSimulator)

SILENCE_S = 0.8
"""How long a vendor may be silent: longer than a busy machine lets a simulator wait for its turn."""
WRONG_KEY = "wrong-key-0123456789"
SWITCH = "PARLEY_TEST_LIVE"

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
    async def opened(self, *, key: str = KEY, **options: Any) -> AsyncIterator[tuple[V, S]]:
        """A client, and the running simulator that it asks. `options`: other fields of VendorOptions."""
        simulator = self.simulator()
        async with simulator.serving() as url:
            client = self.client(replace(self.options(url, key=key), **options))
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


class FarEnd(ABC, Generic[V, S]):
    """Who a client talks to. A test does the same to either, and looks into a simulator besides."""

    @property
    @abstractmethod
    def frame_s(self) -> float:
        """How long 20 ms of audio are to last: simulators do not mind what comes faster than it is spoken."""

    @abstractmethod
    def opened(self, *, key: str = "", **options: Any) -> AbstractAsyncContextManager[tuple[V, S | None]]:
        """A client, and the simulator that it asks if it is one. `key`: other than the right one."""

    @abstractmethod
    def alike(self, came: str, wanted: str) -> bool:
        """Whether a transcript or a reply is what it should be."""

    @abstractmethod
    async def cancel(self, simulator: S | None, work: Awaitable[object]) -> None:
        """Start `work`, cancel it while it waits for an answer, and see it end."""


@dataclass(frozen=True, slots=True)
class Simulated(FarEnd[V, S]):
    case: Case[V, S]

    @property
    def frame_s(self) -> float:
        return 0.0

    def opened(self, *, key: str = "", **options: Any) -> AbstractAsyncContextManager[tuple[V, S | None]]:
        return self.case.opened(key=key or KEY, **options)

    def alike(self, came: str, wanted: str) -> bool:
        return came == wanted

    async def cancel(self, simulator: S | None, work: Awaitable[object]) -> None:
        assert simulator is not None
        await cancelled_midway(simulator, work)
        simulator.fault = None


@dataclass(frozen=True, slots=True)
class Real(FarEnd[V, S]):
    """The vendor itself, as this installation has it set up: its key, and PARLEY_PROVIDER_OPTIONS.

    `speed`: of speech, times what a caller's is. 0 is as fast as it goes, which vendors refuse.
    """

    kind: Kind
    name: str
    read: Callable[[], Settings] = settings
    speed: float = 1.0

    @property
    def frame_s(self) -> float:
        return 0.02 / self.speed if self.speed else 0.0

    @asynccontextmanager
    async def opened(self, *, key: str = "", **options: Any) -> AsyncIterator[tuple[V, S | None]]:
        self.skip_without_key()
        own, where = self.read(), f"{self.kind}:{self.name}"
        chosen = {**own.provider_options, where: {**own.provider_options.get(where, {}), **options}}
        own = own.model_copy(update={"provider_options": chosen})
        client = vendor(self.kind, self.name, own, own_key=key or None)
        try:
            yield cast(V, client), None
        finally:
            await client.close()

    def skip_without_key(self) -> None:
        """With a wrong key too: who has no account is not to hear from us."""
        chosen = entry(self.kind, self.name)
        if not key(chosen, self.read()):
            pytest.skip(f"{chosen.variable} is not set")

    def alike(self, came: str, wanted: str) -> bool:
        """Nearly the same words: models differ in signs, capitals and a word here or there."""
        heard, hoped = (re.findall(r"\w+", text.lower()) for text in (came, wanted))
        return difflib.SequenceMatcher(None, heard, hoped, autojunk=False).ratio() >= 0.75

    async def cancel(self, simulator: S | None, work: Awaitable[object]) -> None:
        task = asyncio.ensure_future(work)
        await asyncio.sleep(2 * self.frame_s)  # on its way, and sooner than most can answer
        if task.done():
            task.result()
            pytest.skip(f"{self.name} answered before it could be cancelled")
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


def both_ends(kind: Kind, cases: Mapping[str, Case[Any, Any]], *without: str) -> pytest.MarkDecorator:
    """`far`: a simulator for each case, and all real vendors of the kind `without` some."""
    asked_for = pytest.mark.skipif(SWITCH not in os.environ, reason=f"{SWITCH} is not set: vendors charge")
    simulated = [pytest.param(Simulated(case), id=name) for name, case in cases.items()]
    real = [
        pytest.param(Real(kind, each.name), id=f"real {each.name}", marks=[pytest.mark.real, asked_for])
        for each in ENTRIES
        if each.kind == kind and not each.local and each.name not in without
    ]
    return pytest.mark.parametrize("far", [*simulated, *real])


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

"""What providers there are, which of them this installation uses, and whether they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from pydantic import BaseModel

from engine.config import Settings
from engine.errors import ConfigurationError
from engine.providers.installation import chain, key, vendor
from engine.providers.registry import ENTRIES, LOCAL, Entry
from engine.providers.vendor import Vendor

CHECK_S = 15.0


class Provider(BaseModel):
    """`place`: in the installation's chain of its kind, from 1; None: it is not in it. `missing`: what it
    would need: a setting, a package."""

    kind: str
    name: str
    place: int | None
    key: str
    missing: list[str]


class Check(BaseModel):
    """What came of a sample operation; `latency_ms` is of all of it, connecting included."""

    kind: str
    name: str
    ok: bool
    detail: str
    latency_ms: int | None = None


def providers(settings: Settings) -> list[Provider]:
    """All that there are. Raises ConfigurationError for a wrong chain."""
    return [_provider(each, settings) for each in ENTRIES]


def _provider(each: Entry, settings: Settings) -> Provider:
    names = chain(each.kind, settings)
    missing = []
    if not each.local and not key(each, settings):
        missing.append(each.variable)
    if not each.installed:
        missing.append("pip install 'parley[cloud]'")
    return Provider(
        kind=each.kind,
        name=each.name,
        place=names.index(each.name) + 1 if each.name in names else None,
        key="" if each.local else each.variable,
        missing=missing,
    )


async def check(settings: Settings, kinds: Sequence[str] = (), names: Sequence[str] = ()) -> list[Check]:
    """Ask every vendor that is set up, all at once; or those of these kinds and names, set up or not.

    Local providers are deployments: whether they are well, `/ready` says.
    """
    chosen = [
        each
        for each in ENTRIES
        if each.name != LOCAL
        and (not kinds or each.kind in kinds)
        and (each.name in names if names else bool(key(each, settings)))
    ]
    return list(await asyncio.gather(*(_check(each, settings) for each in chosen)))


async def _check(each: Entry, settings: Settings) -> Check:
    try:
        client: Vendor = vendor(each.kind, each.name, settings)
    except ConfigurationError as error:
        return Check(kind=each.kind, name=each.name, ok=False, detail=str(error))
    try:
        async with asyncio.timeout(CHECK_S):
            health = await client.check()
    except TimeoutError:
        return Check(kind=each.kind, name=each.name, ok=False, detail=f"no answer within {CHECK_S:g} s")
    finally:
        await client.close()
    return Check(
        kind=each.kind, name=each.name, ok=health.ok, detail=health.detail, latency_ms=health.latency_ms
    )

"""Companies' own keys of cloud vendors. What goes in never comes out: only a call's actors open them."""

from __future__ import annotations

from collections.abc import Sequence

from engine.config import Settings
from engine.errors import ConfigurationError
from engine.providers.registry import ENTRIES
from engine.providers.sealing import Sealer
from engine.services.access import Access, NotFound
from engine.store import Page, Store
from engine.store.documents import COMPANIES, MAX_PAGE, PROVIDER_KEYS
from models import ProviderKey, new_id

VENDORS = frozenset(entry.name for entry in ENTRIES if not entry.local)
HINT_CHARS = 4


class ProviderKeys:
    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings

    async def list(self, access: Access) -> Sequence[ProviderKey]:
        return await kept(self._store, access.company_id)

    async def put(self, access: Access, vendor: str, secret: str) -> ProviderKey:
        """Set or replace.

        Raises NotFound for an unknown vendor, ConfigurationError without encryption keys.
        """
        _refuse_unknown(vendor)
        sealed = Sealer(self._settings).seal(secret)
        hint = secret[-HINT_CHARS:] if len(secret) > 3 * HINT_CHARS else ""
        there = await self._find(access, vendor)
        if there is not None:
            return await self._store.documents.replace(
                PROVIDER_KEYS, there.model_copy(update={"sealed": sealed, "hint": hint})
            )
        made = ProviderKey(
            id=new_id("pvk"), company_id=access.company_id, vendor=vendor, sealed=sealed, hint=hint
        )
        await self._store.documents.insert(PROVIDER_KEYS, made)
        return made

    async def delete(self, access: Access, vendor: str) -> None:
        """Raises NotFound."""
        _refuse_unknown(vendor)
        there = await self._find(access, vendor)
        if there is None:
            raise NotFound(f"there is no key of {vendor}")
        await self._store.documents.delete(PROVIDER_KEYS, access.company_id, there.id)

    async def _find(self, access: Access, vendor: str) -> ProviderKey | None:
        found = await self._store.documents.find(
            PROVIDER_KEYS, access.company_id, {"vendor": vendor}, Page(limit=1)
        )
        return found[0] if found else None


async def kept(store: Store, company_id: str) -> Sequence[ProviderKey]:
    """All of a company's; there is one a vendor at most."""
    return await store.documents.find(PROVIDER_KEYS, company_id, {}, Page(limit=MAX_PAGE))


async def renew_all(store: Store, settings: Settings) -> tuple[int, int]:
    """Seal every key with the first encryption key; (how many, how many could not be opened)."""
    sealer, renewed, lost = Sealer(settings), 0, 0
    page = Page(limit=MAX_PAGE)
    while companies := await store.documents.find(COMPANIES, None, {}, page):
        for company in companies:
            for key in await kept(store, company.id):
                try:
                    sealed = sealer.renew(key.sealed)
                except ConfigurationError:
                    lost += 1
                    continue
                await store.documents.replace(PROVIDER_KEYS, key.model_copy(update={"sealed": sealed}))
                renewed += 1
        page = Page(before=companies[-1].id, limit=MAX_PAGE)
    return renewed, lost


def _refuse_unknown(vendor: str) -> None:
    if vendor not in VENDORS:
        raise NotFound(f"there is no vendor {vendor}: there are {', '.join(sorted(VENDORS))}")

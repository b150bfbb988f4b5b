"""Companies: what they may change of themselves, and what the platform may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.services.access import Access, Forbidden, InUse, NotFound
from engine.store import Page, Stale, Store
from engine.store.documents import ALL, COMPANIES, MAX_PAGE, TenantCollection
from models import Company, Role, new_id
from models.accounts import CreateCompany, UpdateCompany
from models.user import PLATFORM

PLATFORMS = frozenset({"status", "max_calls"})


class Companies:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, page: Page) -> Sequence[Company]:
        """All companies: for the platform's admins, whom the route checks."""
        return await self._store.documents.find(COMPANIES, None, {}, page)

    async def create(self, asked: CreateCompany) -> Company:
        company = Company(id=new_id("co"), name=asked.name, max_calls=asked.max_calls)
        await self._store.documents.insert(COMPANIES, company)
        return company

    async def get(self, access: Access) -> Company:
        """Raises NotFound."""
        company = await self._store.company(access.company_id)
        if company is None:
            raise NotFound(f"there is no company {access.company_id}")
        return company

    async def update(self, access: Access, asked: UpdateCompany) -> Company:
        """Raises Stale, InUse, and Forbidden where an owner changes what is the platform's."""
        fields = asked.model_dump(exclude={"version"}, exclude_unset=True)
        if access.principal.role is not Role.ADMIN and (theirs := PLATFORMS & set(fields)):
            raise Forbidden(f"{', '.join(sorted(theirs))}: only those who run this installation change that")
        company = await self.get(access)
        if company.version != asked.version:
            raise Stale("the company was changed meanwhile: read it again")
        if company.id == PLATFORM and fields.get("status") == "suspended":
            raise InUse("suspended, the company of those who run the installation would lock them out")
        # Only the retention may be set to nothing; what else is null was not meant to be changed.
        fields = {
            name: value for name, value in fields.items() if value is not None or name == "retention_days"
        }
        return await self._store.documents.replace(COMPANIES, company.model_copy(update=fields))

    async def delete(self, access: Access) -> None:
        """With all its documents. Raises InUse for one that is active."""
        company = await self.get(access)
        if company.id == PLATFORM:
            raise InUse("this is the company of those who run the installation")
        if company.status == "active":
            raise InUse("an active company cannot be deleted: suspend it first")
        for collection in ALL:
            if isinstance(collection, TenantCollection):
                await self._empty(collection, company.id)
        await self._store.documents.delete(COMPANIES, None, company.id)

    async def _empty(self, collection: TenantCollection[Any], company_id: str) -> None:
        while found := await self._store.documents.find(collection, company_id, {}, Page(limit=MAX_PAGE)):
            for document in found:
                await self._store.documents.delete(collection, company_id, document.id)

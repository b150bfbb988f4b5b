"""Companies: what they may change of themselves, and what the platform may."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path

from engine.knowledge.ingest import upload_path
from engine.services.access import Access, Forbidden, InUse, NotFound
from engine.services.knowledge import KnowledgeBackend
from engine.store import Page, Stale, Store
from engine.store.documents import ALL, COMPANIES, KNOWLEDGE, MAX_PAGE, TenantCollection, delete_all
from engine.store.recordings import Recordings
from models import Company, KnowledgeDocument, Role, new_id
from models.accounts import CreateCompany, UpdateCompany
from models.user import PLATFORM

PLATFORMS = frozenset({"status", "max_calls"})


class Companies:
    def __init__(self, store: Store, folder: Path, knowledge: KnowledgeBackend) -> None:
        self._store = store
        self._folder = folder
        self._recordings = Recordings(folder / "recordings")
        self._knowledge = knowledge

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
        """With everything that is its own; what fails half way is done by asking again.

        Raises InUse for one that is active, ProviderUnavailable.
        """
        company = await self.get(access)
        if company.id == PLATFORM:
            raise InUse("this is the company of those who run the installation")
        if company.status == "active":
            raise InUse("an active company cannot be deleted: suspend it first")
        for document in await self._documents(company.id):
            await self._knowledge.forget(company.id, document.id)
        await asyncio.to_thread(self._remove_files, company.id)
        await self._store.forget_company(company.id)
        for collection in ALL:
            if isinstance(collection, TenantCollection):
                await delete_all(self._store.documents, collection, company.id, {})
        await self._store.documents.delete(COMPANIES, None, company.id)

    async def _documents(self, company_id: str) -> Sequence[KnowledgeDocument]:
        found: list[KnowledgeDocument] = []
        page = Page(limit=MAX_PAGE)
        while part := await self._store.documents.find(KNOWLEDGE, company_id, {}, page):
            found += part
            page = Page(before=part[-1].id, limit=MAX_PAGE)
        return found

    def _remove_files(self, company_id: str) -> None:
        for folder in (upload_path(self._folder, company_id, ""), self._recordings.folder(company_id)):
            shutil.rmtree(folder, ignore_errors=True)

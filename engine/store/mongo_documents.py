"""`Documents` in MongoDB: a collection for each of ours, with an index for what is unique or listed by.

Fields are kept as in JSON, times as text: they come back as they were, and an index orders them as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from engine.store.documents import ALL, Collection, D, Page, Stale, Taken, TenantCollection, check
from models.document import now

if TYPE_CHECKING:
    from motor.motor_asyncio import AsyncIOMotorDatabase

    Database = AsyncIOMotorDatabase[dict[str, Any]]
else:
    Database = Any

_NEWEST = -1


async def ensure_indexes(db: Database) -> None:
    """Make those that are missing. A new filter or key needs no migration."""
    for collection in ALL:
        await db[collection.name].create_indexes(_indexes(collection))


def _indexes(collection: Collection[Any]) -> list[IndexModel]:
    """Unique fields are in every document, so no index has to leave any out.

    A unique field's index has the field's name: where a server does not say which keys met, that remains.
    """
    scope = [("company_id", 1)] if isinstance(collection, TenantCollection) else []
    made = [IndexModel([(field, 1)], name=field, unique=True) for field in collection.keys]
    made += [IndexModel([*scope, (field, 1)], name=field, unique=True) for field in collection.unique]
    made += [
        IndexModel([*scope, (field, 1), ("_id", _NEWEST)], name=f"by_{field}") for field in collection.filters
    ]
    return [*made, IndexModel([*scope, ("_id", _NEWEST)], name="newest")]


class MongoDocuments:
    """See `Documents`. `clear_errors`: around all that asks the server."""

    def __init__(self, db: Database, clear_errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._db = db
        self._clear_errors = clear_errors

    async def insert(self, collection: Collection[D], document: D) -> None:
        check(collection, _company(collection, document))
        with self._clear_errors():
            try:
                await self._db[collection.name].insert_one(_fields(document))
            except DuplicateKeyError as error:
                raise Taken(_field(error, collection)) from None

    async def replace(self, collection: Collection[D], document: D) -> D:
        company = check(collection, _company(collection, document))
        written = document.model_copy(update={"version": document.version + 1, "updated_at": now()})
        there = {**_confined(company), "_id": document.id, "version": document.version}
        with self._clear_errors():
            try:
                changed = await self._db[collection.name].replace_one(there, _fields(written))
            except DuplicateKeyError as error:
                raise Taken(_field(error, collection)) from None
        if not changed.matched_count:
            raise Stale(f"{document.id} was changed meanwhile: read it again")
        return written

    async def get(self, collection: Collection[D], company_id: str | None, id: str) -> D | None:
        company = check(collection, company_id)
        with self._clear_errors():
            found = await self._db[collection.name].find_one({**_confined(company), "_id": {"$eq": id}})
        return _document(collection, found) if found else None

    async def find(
        self, collection: Collection[D], company_id: str | None, where: Mapping[str, Any], page: Page
    ) -> Sequence[D]:
        query: dict[str, Any] = _confined(check(collection, company_id, tuple(where)))
        # `$eq` keeps a value a value, whatever it looks like.
        query |= {field: {"$eq": value} for field, value in where.items()}
        bounds = {"$lt": page.before, "$gte": page.since}
        if ids := {operator: id for operator, id in bounds.items() if id is not None}:
            query["_id"] = ids
        with self._clear_errors():
            found = self._db[collection.name].find(query).sort("_id", _NEWEST).limit(page.limit)
            return [_document(collection, fields) async for fields in found]

    async def by_key(self, collection: Collection[D], field: str, value: str) -> D | None:
        if field not in collection.keys:
            raise ValueError(f"{field} is no key of {collection.name}")
        with self._clear_errors():
            found = await self._db[collection.name].find_one({field: {"$eq": value}})
        return _document(collection, found) if found else None

    async def delete(self, collection: Collection[D], company_id: str | None, id: str) -> bool:
        company = check(collection, company_id)
        with self._clear_errors():
            gone = await self._db[collection.name].delete_one({**_confined(company), "_id": {"$eq": id}})
        return bool(gone.deleted_count)


def _company(collection: Collection[D], document: D) -> str | None:
    return getattr(document, "company_id", None) if isinstance(collection, TenantCollection) else None


def _confined(company: str) -> dict[str, Any]:
    return {"company_id": {"$eq": company}} if company else {}


def _fields(document: D) -> dict[str, Any]:
    fields = document.model_dump(mode="json")
    return {"_id": fields.pop("id"), **fields}


def _document(collection: Collection[D], fields: dict[str, Any]) -> D:
    return collection.model.model_validate({"id": fields.pop("_id"), **fields})


def _field(error: DuplicateKeyError, collection: Collection[Any]) -> str:
    """Which of the fields that must be unique met another's; `id` where it was that."""
    details = error.details or {}
    pattern = set(details.get("keyPattern") or ())
    for field in (*collection.keys, *collection.unique):
        if field in pattern or (not pattern and f" index: {field} " in str(details.get("errmsg"))):
            return field
    return "id"

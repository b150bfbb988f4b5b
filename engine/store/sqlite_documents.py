"""`Documents` in SQLite: one table of JSON, its keys in another, an index for each field to list by."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from engine.store.documents import ALL, Collection, D, Page, Stale, Taken, TenantCollection, check
from models import CallRecord, Document
from models.document import now

R = TypeVar("R")

_TABLES = (
    """CREATE TABLE IF NOT EXISTS documents (
    collection TEXT NOT NULL, company_id TEXT NOT NULL, id TEXT NOT NULL, version INTEGER NOT NULL,
    document TEXT NOT NULL, PRIMARY KEY (collection, company_id, id))""",
    "CREATE UNIQUE INDEX IF NOT EXISTS document_ids ON documents (collection, id)",
    """CREATE TABLE IF NOT EXISTS document_keys (
    collection TEXT NOT NULL, field TEXT NOT NULL, scope TEXT NOT NULL, value TEXT NOT NULL, id TEXT NOT NULL,
    PRIMARY KEY (collection, field, scope, value)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS document_keys_by_id ON document_keys (collection, id)",
)


class Run(Protocol):
    """Runs work on the connection, in a transaction of its own that an exception rolls back."""

    def __call__(self, work: Callable[[sqlite3.Connection], R]) -> Awaitable[R]: ...


def schema() -> tuple[str, ...]:
    """Tables and indexes. All names in it are constants of `engine.store.documents`."""
    indexes = (
        f"CREATE INDEX IF NOT EXISTS {collection.name}_by_{field} ON documents"
        f" (company_id, json_extract(document, '$.{field}'), id) WHERE collection = '{collection.name}'"
        for collection in ALL
        for field in collection.filters
    )
    return (*_TABLES, *indexes)


class SqliteDocuments:
    """See `Documents`."""

    def __init__(self, read: Run, write: Run, note: Run) -> None:
        """`note`: a write that outlives every process, but not the machine's power."""
        self._read = read
        self._write = write
        self._note = note

    async def insert(self, collection: Collection[D], document: D) -> None:
        company = check(collection, _company(collection, document))

        def work(db: sqlite3.Connection) -> None:
            row = (collection.name, company, document.id, document.version, document.model_dump_json())
            if not db.execute("INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?, ?)", row).rowcount:
                raise Taken("id")
            _claim(db, collection, document, company)

        await (self._note if _goes_on(document) else self._write)(work)

    async def replace(self, collection: Collection[D], document: D) -> D:
        company = check(collection, _company(collection, document))
        written = document.model_copy(update={"version": document.version + 1, "updated_at": now()})

        def work(db: sqlite3.Connection) -> None:
            there = (collection.name, company, document.id, document.version)
            changed = db.execute(
                "UPDATE documents SET version = ?, document = ?"
                " WHERE collection = ? AND company_id = ? AND id = ? AND version = ?",
                (written.version, written.model_dump_json(), *there),
            )
            if not changed.rowcount:
                raise Stale(f"{document.id} was changed meanwhile: read it again")
            db.execute(
                "DELETE FROM document_keys WHERE collection = ? AND id = ?", (collection.name, document.id)
            )
            _claim(db, collection, written, company)

        await self._write(work)
        return written

    async def get(self, collection: Collection[D], company_id: str | None, id: str) -> D | None:
        company = check(collection, company_id)
        sql = "SELECT document FROM documents WHERE collection = ? AND company_id = ? AND id = ?"
        row = await self._read(lambda db: db.execute(sql, (collection.name, company, id)).fetchone())
        return collection.model.model_validate_json(row[0]) if row else None

    async def find(
        self, collection: Collection[D], company_id: str | None, where: Mapping[str, Any], page: Page
    ) -> Sequence[D]:
        company = check(collection, company_id, tuple(where))
        # The collection's name is a constant of ours; as a parameter it would not match the partial indexes.
        sql = f"SELECT document FROM documents WHERE collection = '{collection.name}' AND company_id = ?"
        values: list[Any] = [company]
        for field, value in where.items():
            sql += f" AND json_extract(document, '$.{field}') = ?"
            values.append(value)
        if page.before is not None:
            sql += " AND id < ?"
            values.append(page.before)
        if page.since is not None:
            sql += " AND id >= ?"
            values.append(page.since)
        sql += " ORDER BY id DESC LIMIT ?"
        rows = await self._read(lambda db: db.execute(sql, (*values, page.limit)).fetchall())
        return [collection.model.model_validate_json(row[0]) for row in rows]

    async def by_key(self, collection: Collection[D], field: str, value: str) -> D | None:
        if field not in collection.keys:
            raise ValueError(f"{field} is no key of {collection.name}")
        sql = (
            "SELECT document FROM document_keys k"
            " JOIN documents d ON d.collection = k.collection AND d.id = k.id"
            " WHERE k.collection = ? AND k.field = ? AND k.scope = '' AND k.value = ?"
        )
        row = await self._read(lambda db: db.execute(sql, (collection.name, field, value)).fetchone())
        return collection.model.model_validate_json(row[0]) if row else None

    async def delete(self, collection: Collection[D], company_id: str | None, id: str) -> bool:
        company = check(collection, company_id)

        def work(db: sqlite3.Connection) -> bool:
            gone = db.execute(
                "DELETE FROM documents WHERE collection = ? AND company_id = ? AND id = ?",
                (collection.name, company, id),
            ).rowcount
            if gone:
                db.execute("DELETE FROM document_keys WHERE collection = ? AND id = ?", (collection.name, id))
            return bool(gone)

        return await self._write(work)


def _company(collection: Collection[D], document: D) -> str | None:
    return getattr(document, "company_id", None) if isinstance(collection, TenantCollection) else None


def _goes_on(document: Document) -> bool:
    """Whether it is the line of a live call. It is no more than the beginning of its journal says, and the
    call's next event comes a moment later: that must not wait behind a sync of the disk."""
    return isinstance(document, CallRecord) and document.status == "live"


def _claims(collection: Collection[D], document: D, company: str) -> Iterator[tuple[str, str, str]]:
    """(field, scope, value) of everything that must be unique about a document."""
    for field in collection.keys:
        yield field, "", str(getattr(document, field))
    for field in collection.unique:
        yield field, company, str(getattr(document, field))


def _claim(db: sqlite3.Connection, collection: Collection[D], document: D, company: str) -> None:
    for field, scope, value in _claims(collection, document, company):
        row = (collection.name, field, scope, value, document.id)
        if not db.execute("INSERT OR IGNORE INTO document_keys VALUES (?, ?, ?, ?, ?)", row).rowcount:
            raise Taken(field)

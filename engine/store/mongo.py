"""The store in MongoDB: for production, and for more than one node. A stand-alone server will do.

Journals keep an event as the text of its JSON: what is read is what was written to the last digit, and
whether two events are the same is whether their texts are.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, TypeVar

import pymongo
from bson import ObjectId
from bson.errors import BSONError
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ASCENDING, IndexModel
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from engine.errors import ConfigurationError, UsageError
from engine.store.base import Conflict
from engine.store.documents import COMPANIES, Documents
from engine.store.mongo_documents import Database, MongoDocuments, ensure_indexes
from models import AgentConfig, CallEvent, Company

T = TypeVar("T")

OPERATION_MS = 5_000
"""The longest an operation takes, its wait for a server that takes writes and its repetition included."""
MIGRATION_S = 600.0
TOKENS_STAY_S = 3600
"""How long after its end a token is removed by the server, whose clock may differ from ours."""
_MAX_REASON = 200

_EVENT_KEY = ("company_id", "call_id", "seq")
_BY_EVENT_KEY = IndexModel([(field, ASCENDING) for field in _EVENT_KEY], name="company_call_seq", unique=True)
_INDEX_NOT_FOUND = 27


async def _key_events_by_company(db: Database) -> None:
    """A carrier's id of a call is unique in one company alone."""
    # The new key first: at no moment are the numbers of a journal free to be taken twice.
    await db["call_events"].create_indexes([_BY_EVENT_KEY])
    try:
        await db["call_events"].drop_index("call_id_seq")
    except OperationFailure as error:
        if error.code != _INDEX_NOT_FOUND:  # gone already, or never there
            raise


Migration = Callable[[Database], Awaitable[None]]
MIGRATIONS: tuple[Migration, ...] = (_key_events_by_company,)
"""From version 1 on, each to the next. Each may run twice, at once too: a server may stop in the middle of
one, and several may start. In a database that is new all of them run, and find nothing to do."""
VERSION = 1 + len(MIGRATIONS)


class MongoStore:
    """See `Store`. Made by `open`, and used on the loop on which that was."""

    def __init__(self, url: str, database: str) -> None:
        self._url = url
        try:
            self._client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
                url,
                serverSelectionTimeoutMS=OPERATION_MS,
                timeoutMS=OPERATION_MS,
                appname="parley",
            )
        except (PyMongoError, ValueError) as error:
            raise ConfigurationError(f"PARLEY_MONGODB_URL: {_reason(error, url)}") from None
        # Whatever the URL says: a write that returned survives the loss of any one server.
        self._db: Database = self._client.get_database(
            database,
            write_concern=WriteConcern("majority", j=True),
            read_concern=ReadConcern("majority"),
        )
        self.documents: Documents = MongoDocuments(self._db, self._clear_errors)
        self._agents = self._db["published_agents"]
        self._events = self._db["call_events"]
        self._tokens = self._db["spent_tokens"]

    @classmethod
    async def open(cls, url: str, database: str) -> MongoStore:
        """Connect and bring the database up to date. Raises ConfigurationError."""
        store = cls(url, database)
        try:
            with store._clear_errors():
                await store._migrate()
        except UsageError:
            store._client.close()
            raise
        return store

    async def company(self, company_id: str) -> Company | None:
        return await self.documents.get(COMPANIES, None, company_id)

    async def publish_agent(self, agent: AgentConfig) -> None:
        id = _agent_id(agent.company_id, agent.id)
        document = {"_id": id, "document": agent.model_dump_json()}
        with self._clear_errors():
            await _upserted(lambda: self._agents.replace_one({"_id": id}, document, upsert=True))

    async def unpublish_agent(self, company_id: str, agent_id: str) -> None:
        with self._clear_errors():
            await self._agents.delete_one({"_id": _agent_id(company_id, agent_id)})

    async def agent(self, company_id: str, agent_id: str) -> AgentConfig | None:
        with self._clear_errors():
            found = await self._agents.find_one({"_id": _agent_id(company_id, agent_id)})
        return AgentConfig.model_validate_json(found["document"]) if found else None

    async def append_events(self, events: Sequence[CallEvent]) -> None:
        """See `Store`. Without transactions, which a stand-alone server does not have.

        Events are written one after the other in the order of their numbers, up to one whose number is
        taken by other content: then those that this call wrote are removed. A crash in between leaves the
        first few of them. No one was told that they are written; and they are as if their writer had
        appended fewer at once, which every reader of a journal expects. The writer's repetition finds them
        and adds the rest; an actor that takes the call over reads them and goes on behind them.
        """
        # Ids of this call's own: what another wrote, with the same content too, is not for it to remove.
        waiting = [_event_row(event) for event in sorted(events, key=attrgetter(*_EVENT_KEY))]
        written: list[ObjectId] = []
        with self._clear_errors():
            while waiting:
                added = await self._insert(waiting)
                written += [row["_id"] for row in waiting[:added]]
                refused, waiting = waiting[added : added + 1], waiting[added + 1 :]
                if refused and not await self._is_there(refused[0]):
                    await self._events.delete_many({"_id": {"$in": written}})
                    row = refused[0]
                    raise Conflict(f"event {row['seq']} of call {row['call_id']} was written by another")

    async def _insert(self, rows: Sequence[dict[str, Any]]) -> int:
        """Insert up to the first whose number is taken; returns how many."""
        try:
            await self._events.insert_many(rows, ordered=True)
        except BulkWriteError as error:
            failures: list[dict[str, Any]] = error.details.get("writeErrors", [])
            if not failures or failures[0].get("code") != 11000:
                raise
            return int(failures[0]["index"])
        return len(rows)

    async def _is_there(self, row: dict[str, Any]) -> bool:
        # Also where it stands but is not yet at a majority: the same append, repeated while it is under way.
        # The insert that it refused was answered only once everything before was at one.
        events = self._events.with_options(read_concern=ReadConcern("local"))
        there = await events.find_one({field: row[field] for field in _EVENT_KEY})
        return there is not None and there["document"] == row["document"]

    async def events(self, company_id: str, call_id: str) -> list[CallEvent]:
        with self._clear_errors():
            rows = self._events.find({"company_id": company_id, "call_id": call_id}).sort("seq", ASCENDING)
            return [CallEvent.model_validate_json(row["document"]) async for row in rows]

    async def delete_events(self, company_id: str, call_id: str) -> None:
        with self._clear_errors():
            await self._events.delete_many({"company_id": company_id, "call_id": call_id})

    async def forget_company(self, company_id: str) -> None:
        with self._clear_errors():
            await self._agents.delete_many({"_id.company_id": company_id})
            await self._events.delete_many({"company_id": company_id})

    async def spend_token(self, token_id: str, expires: float) -> bool:
        until = _date(expires)
        with self._clear_errors():
            try:
                await self._tokens.insert_one({"_id": token_id, "expires": until})
            except DuplicateKeyError:
                # The server removes what expired, but not at once.
                expired = {"_id": token_id, "expires": {"$lt": _date(time.time())}}
                again = await self._tokens.update_one(expired, {"$set": {"expires": until}})
                return again.modified_count == 1
        return True

    async def open_calls(self) -> list[tuple[str, str]]:
        # Fields of one index in its order: the server need not read the events themselves.
        call = {"company_id": "$company_id", "call_id": "$call_id"}
        ended = {"$max": {"$cond": [{"$eq": ["$kind", "call_ended"]}, 1, 0]}}
        stages: list[dict[str, Any]] = [
            {"$sort": {"company_id": 1, "call_id": 1, "kind": 1}},
            {"$group": {"_id": call, "ended": ended}},
            {"$match": {"ended": 0}},
        ]
        with self._clear_errors():
            found = self._events.aggregate(stages, allowDiskUse=True)
            return [(row["_id"]["company_id"], row["_id"]["call_id"]) async for row in found]

    async def close(self) -> None:
        self._client.close()

    async def _migrate(self) -> None:
        """Idempotent, also with several processes that start at once."""
        meta = self._db["meta"]
        found = await meta.find_one({"_id": "schema"})
        # Without a version it is new, or whoever opened it first was stopped before it was written.
        version = int(found["version"]) if found else 1
        if version > VERSION:
            raise ConfigurationError(
                f"the database was written by a newer Parley (schema {version}, this one knows {VERSION}):"
                " update Parley"
            )
        # The server is there. An index of much that was written before takes its time.
        with pymongo.timeout(MIGRATION_S):
            await self._bring_up_from(version)
        await _upserted(
            lambda: meta.update_one({"_id": "schema"}, {"$max": {"version": VERSION}}, upsert=True)
        )

    async def _bring_up_from(self, version: int) -> None:
        for migration in MIGRATIONS[version - 1 :]:
            await migration(self._db)
        await ensure_indexes(self._db)
        await self._events.create_indexes(
            [
                _BY_EVENT_KEY,
                IndexModel([("company_id", 1), ("call_id", 1), ("kind", 1)], name="company_call_kind"),
            ]
        )
        forget = IndexModel([("expires", 1)], name="expires", expireAfterSeconds=TOKENS_STAY_S)
        await self._tokens.create_indexes([forget])

    @contextmanager
    def _clear_errors(self) -> Iterator[None]:
        """Failures of the server become one line, without what the URL keeps secret."""
        try:
            yield
        except PyMongoError as error:
            raise ConfigurationError(f"MongoDB: {_reason(error, self._url)}") from None
        except (BSONError, OverflowError) as error:
            raise UsageError(f"this cannot be kept in MongoDB: {_reason(error, self._url)}") from None


async def _upserted(write: Callable[[], Awaitable[T]]) -> T:
    """Of two upserts that find nothing one may lose: the second time there is something."""
    try:
        return await write()
    except DuplicateKeyError:
        return await write()


def _agent_id(company_id: str, agent_id: str) -> dict[str, str]:
    return {"company_id": company_id, "agent_id": agent_id}


def _event_row(event: CallEvent) -> dict[str, Any]:
    row = event.model_dump(include={"call_id", "seq", "company_id", "kind"})
    return {"_id": ObjectId(), **row, "document": event.model_dump_json()}


def _date(unix_s: float) -> datetime:
    return datetime.fromtimestamp(unix_s, UTC)


def _reason(error: Exception, url: str) -> str:
    """The first clause of what the driver says: its messages go on with the state of every server."""
    line = (str(error).splitlines() or [""])[0]
    for tail in (", Timeout: ", " (configured timeouts", ", full error: "):
        line = line.split(tail)[0]
    for secret in _secrets(url):
        line = line.replace(secret, "***")
    return line[:_MAX_REASON].strip() or type(error).__name__


def _secrets(url: str) -> list[str]:
    """The password as it stands in the URL and as it is meant."""
    raw = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    try:
        # Not the `+srv` form: its parser would ask DNS.
        meant = parse_uri(url.replace("mongodb+srv://", "mongodb://", 1), validate=False)["password"]
    except (PyMongoError, ValueError):
        meant = None
    return [secret for secret in (url, raw, meant) if secret]

"""The embedded store: one SQLite file in WAL mode, one writing thread, commits in groups.

Work of a kind that arrives while a commit is under way shares the next one: with many calls at once the disk
is asked once for all of them. What live calls wait for comes first, and shares no commit with what is synced.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from engine.errors import ConfigurationError
from engine.store.base import Conflict
from engine.store.documents import COMPANIES, Documents
from engine.store.sqlite_documents import SqliteDocuments, schema
from models import AgentConfig, CallEvent, Company

log = logging.getLogger("parley.store")
T = TypeVar("T")

MAX_WAITING = 10_000
GROUP = 200
BUSY_MS = 10_000
"""How long a write waits for those of other processes."""
MIGRATION_S = 600.0
"""How long a process waits for another that brings the file up to date."""
CHECKPOINT_ROWS = 500
"""Changed rows, of some pages each, after which the WAL goes into the file as soon as nobody waits."""
BUSY_CHECKPOINT_ROWS = 10_000
"""The same while somebody waits: a WAL that nobody leaves time for must not grow for ever."""
SCHEMA = (
    """CREATE TABLE IF NOT EXISTS published_agents (
    company_id TEXT NOT NULL, id TEXT NOT NULL, document TEXT NOT NULL, PRIMARY KEY (company_id, id))""",
    """CREATE TABLE IF NOT EXISTS call_events (
    call_id TEXT NOT NULL, seq INTEGER NOT NULL, company_id TEXT NOT NULL, kind TEXT NOT NULL,
    document TEXT NOT NULL, PRIMARY KEY (company_id, call_id, seq)) WITHOUT ROWID""",
    "CREATE TABLE IF NOT EXISTS spent_tokens (id TEXT PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID",
)
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    # A carrier's id of a call is unique in one company alone. SQLite cannot change a table's key.
    (
        """CREATE TABLE call_events_2 (
    call_id TEXT NOT NULL, seq INTEGER NOT NULL, company_id TEXT NOT NULL, kind TEXT NOT NULL,
    document TEXT NOT NULL, PRIMARY KEY (company_id, call_id, seq)) WITHOUT ROWID""",
        """INSERT INTO call_events_2 (call_id, seq, company_id, kind, document)
    SELECT call_id, seq, company_id, kind, document FROM call_events ORDER BY company_id, call_id, seq""",
        "DROP TABLE call_events",
        "ALTER TABLE call_events_2 RENAME TO call_events",
    ),
)
"""From version 1 on, each to the next: all or none of it, as it is one transaction."""
VERSION = 1 + len(MIGRATIONS)
"""Of the schema; a database without one is from before there were versions, and like version 1."""


class _Kind(Enum):
    """What a piece of work needs. A transaction is of one kind; the kinds take turns in this order."""

    JOURNAL = "journal"
    """A write that outlives every process, but not the machine's power. A live call waits for it."""
    READ = "read"
    WRITE = "write"
    """A write that outlives the machine's power too: the disk is synced."""

    @property
    def begin(self) -> str:
        """Only writes take the file's one write lock, for which other processes wait."""
        return "BEGIN" if self is _Kind.READ else "BEGIN IMMEDIATE"

    @property
    def synchronous(self) -> str:
        """Syncing the disk takes 0.4 ms on a quiet one, and 4 in one of a hundred cases."""
        return "FULL" if self is _Kind.WRITE else "NORMAL"


@dataclass(frozen=True, slots=True)
class _Job:
    """Work for the connection's thread, and who waits for it."""

    work: Callable[[sqlite3.Connection], Any]
    kind: _Kind
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop

    def answer(self, result: Any, failure: BaseException | None) -> None:
        # Whoever asked may be gone with its loop: that must not end the thread, which works for others.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(_resolve, self.future, result, failure)


class SqliteStore:
    """See `Store`. All SQL runs in one thread of this object's own; `close` ends it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MAX_WAITING)
        self._closed = False
        self._checkpointed = 0
        try:
            self._connection = sqlite3.connect(
                path, timeout=MIGRATION_S, isolation_level=None, check_same_thread=False
            )
            _refuse_newer(self._connection)
            self._connection.execute("PRAGMA journal_mode=WAL")
            _bring_up(self._connection)
            self._connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            # SQLite's own checkpoint syncs the disk twice, inside whichever commit fills the WAL.
            self._connection.execute("PRAGMA wal_autocheckpoint = 0")
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"cannot open the database {path}: {error}; move it away or mend it"
            ) from error
        self.documents: Documents = SqliteDocuments(self._read, self._write, self._note)
        self._thread = threading.Thread(target=self._work, name="sqlite", daemon=True)
        self._thread.start()

    async def company(self, company_id: str) -> Company | None:
        return await self.documents.get(COMPANIES, None, company_id)

    async def publish_agent(self, agent: AgentConfig) -> None:
        row = (agent.company_id, agent.id, agent.model_dump_json())
        await self._write(
            lambda db: db.execute("INSERT OR REPLACE INTO published_agents VALUES (?, ?, ?)", row)
        )

    async def unpublish_agent(self, company_id: str, agent_id: str) -> None:
        sql = "DELETE FROM published_agents WHERE company_id = ? AND id = ?"
        await self._write(lambda db: db.execute(sql, (company_id, agent_id)))

    async def agent(self, company_id: str, agent_id: str) -> AgentConfig | None:
        sql = "SELECT document FROM published_agents WHERE company_id = ? AND id = ?"
        row = await self._read(lambda db: db.execute(sql, (company_id, agent_id)).fetchone())
        return AgentConfig.model_validate_json(row[0]) if row else None

    async def append_events(self, events: Sequence[CallEvent]) -> None:
        rows = [(e.call_id, e.seq, e.company_id, e.kind, e.model_dump_json()) for e in events]
        # The caller waits for each, and a call does not outlive the machine. After its last event the list of
        # calls is brought up to date, which is durable, and all that was written before with it.
        await self._note(lambda db: _append(db, rows))

    async def events(self, company_id: str, call_id: str) -> list[CallEvent]:
        sql = "SELECT document FROM call_events WHERE company_id = ? AND call_id = ? ORDER BY seq"
        rows = await self._read(lambda db: db.execute(sql, (company_id, call_id)).fetchall())
        return [CallEvent.model_validate_json(row[0]) for row in rows]

    async def delete_events(self, company_id: str, call_id: str) -> None:
        sql = "DELETE FROM call_events WHERE company_id = ? AND call_id = ?"
        await self._write(lambda db: db.execute(sql, (company_id, call_id)))

    async def forget_company(self, company_id: str) -> None:
        def forget(db: sqlite3.Connection) -> None:
            for table in ("published_agents", "call_events"):
                db.execute(f"DELETE FROM {table} WHERE company_id = ?", (company_id,))

        await self._write(forget)

    async def spend_token(self, token_id: str, expires: float) -> bool:
        def spend(db: sqlite3.Connection) -> bool:
            db.execute("DELETE FROM spent_tokens WHERE expires < ?", (time.time(),))
            added = db.execute("INSERT OR IGNORE INTO spent_tokens VALUES (?, ?)", (token_id, expires))
            return added.rowcount == 1

        # A call waits for it. A machine that loses its power may forget it and take the token once more while
        # that is good: the call that it opened is gone with the machine.
        return await self._note(spend)

    async def open_calls(self) -> list[tuple[str, str]]:
        sql = """SELECT company_id, call_id FROM call_events EXCEPT
                 SELECT company_id, call_id FROM call_events WHERE kind = 'call_ended'"""
        return await self._read(lambda db: [tuple(row) for row in db.execute(sql)])

    async def close(self) -> None:
        """Finish what was asked for, then close the file. What is asked for later fails at once."""
        self._closed = True
        self._jobs.put_nowait(None)
        await asyncio.to_thread(self._thread.join)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(work, _Kind.READ)

    async def _note(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(work, _Kind.JOURNAL)

    async def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._run(work, _Kind.WRITE)

    async def _run(self, work: Callable[[sqlite3.Connection], T], kind: _Kind) -> T:
        if self._closed:
            raise ConfigurationError("the database is closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        try:
            self._jobs.put_nowait(_Job(work, kind, future, loop))
        except queue.Full:
            raise ConfigurationError("the database is too slow: more than 10,000 writes wait") from None
        return await future

    def _work(self) -> None:
        """Until `close`. What fails here and in no job fails all jobs from then on; none waits for ever."""
        broken = ""
        while True:
            taken = [self._jobs.get()]
            while len(taken) < GROUP and not self._jobs.empty():
                taken.append(self._jobs.get())
            jobs = [job for job in taken if job is not None]
            try:
                if not broken:
                    self._serve(jobs)
            except BaseException as error:  # there is nobody above to catch it
                log.critical("the database's thread failed", exc_info=error)
                broken = f"the database is out of order until a restart: {type(error).__name__}: {error}"
                # It may hold the file's write lock, for which other processes wait.
                self._connection.close()
            if broken:
                # Those that were answered before it broke keep their answer.
                for job in jobs:
                    job.answer(None, ConfigurationError(broken))
            if None in taken:
                if not broken:
                    self._checkpoint()
                    self._connection.close()
                return

    def _serve(self, jobs: Sequence[_Job]) -> None:
        for kind in _Kind:
            if group := [job for job in jobs if job.kind is kind]:
                self._commit(kind, group)
        rows = self._connection.total_changes - self._checkpointed
        if rows >= (CHECKPOINT_ROWS if self._jobs.empty() else BUSY_CHECKPOINT_ROWS):
            self._checkpoint()

    def _commit(self, kind: _Kind, jobs: Sequence[_Job]) -> None:
        """Run jobs in one transaction, each in a savepoint: one that fails takes no other along."""
        db = self._connection
        done: list[tuple[_Job, Any, BaseException | None]] = []
        try:
            db.execute(f"PRAGMA synchronous={kind.synchronous}")
            db.execute(kind.begin)
            for job in jobs:
                db.execute("SAVEPOINT job")
                try:
                    done.append((job, job.work(db), None))
                except Exception as error:  # noqa: BLE001 - whatever it is, it belongs to whoever waits
                    db.execute("ROLLBACK TO job")
                    done.append((job, None, error))
                db.execute("RELEASE job")
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            done = [(job, None, error) for job in jobs]
        for job, result, failure in done:
            job.answer(result, failure)

    def _checkpoint(self) -> None:
        """Bring the WAL into the file, as far as no other process reads it; those that write go on."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            log.warning("the WAL stays as it is for now: %s", error)
        self._checkpointed = self._connection.total_changes


def _refuse_newer(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        db.close()
        raise ConfigurationError(
            f"the database was written by a newer Parley (schema {version}, this one knows {VERSION}):"
            " update Parley"
        )


def _bring_up(db: sqlite3.Connection) -> None:
    """Idempotent, also with several processes that start at once: one works, the others find it done."""
    db.execute(_Kind.WRITE.begin)
    try:
        # Once more: what another process did meanwhile is seen behind the lock alone.
        _refuse_newer(db)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (written,) = db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'call_events'").fetchone()
        pending = MIGRATIONS[max(version, 1) - 1 :] if written else ()
        for statement in (*chain.from_iterable(pending), *SCHEMA, *schema()):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _append(db: sqlite3.Connection, rows: Sequence[tuple[str, int, str, str, str]]) -> None:
    for row in rows:
        added = db.execute("INSERT OR IGNORE INTO call_events VALUES (?, ?, ?, ?, ?)", row).rowcount
        if added:
            continue
        sql = "SELECT document FROM call_events WHERE company_id = ? AND call_id = ? AND seq = ?"
        (there,) = db.execute(sql, (row[2], *row[:2])).fetchone()
        if there != row[4]:
            raise Conflict(f"event {row[1]} of call {row[0]} was written by another")


def _resolve(future: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if future.done():
        return
    if isinstance(failure, sqlite3.Error):
        failure = ConfigurationError(f"database: {failure}")
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(result)

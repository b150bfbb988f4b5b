"""Which store this installation has, and the one way to open it."""

from __future__ import annotations

import asyncio

from engine.config import Settings
from engine.store.base import Store
from engine.store.sqlite import SqliteStore


async def open_store(settings: Settings) -> Store:
    """MongoDB where its URL is set, else SQLite in `data_dir`. Raises ConfigurationError.

    Used, and closed, on the loop on which it was opened.
    """
    if settings.mongodb_url is None:
        return SqliteStore(settings.data_dir / "parley.db")
    # Loaded where it is used: the driver is of no use to an installation without MongoDB.
    from engine.store.mongo import MongoStore

    return await MongoStore.open(settings.mongodb_url.get_secret_value(), settings.mongodb_database)


def connect(settings: Settings) -> Store:
    """As `open_store`, for a process that starts when the database has been brought up to date.

    Connects when it is first asked for something.
    """
    if settings.mongodb_url is None:
        return SqliteStore(settings.data_dir / "parley.db")
    from engine.store.mongo import MongoStore

    return MongoStore(settings.mongodb_url.get_secret_value(), settings.mongodb_database)


class StoreOpener:
    """One store for an actor or a replica, whose constructor runs before its loop: opened when asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._opening: asyncio.Task[Store] | None = None

    async def get(self) -> Store:
        """The same each time; after a failure it is tried anew. A cancelled wait leaves the opening be."""
        if self._opening is None or (self._opening.done() and not _succeeded(self._opening)):
            self._opening = asyncio.create_task(open_store(self._settings), name="opening the store")
        return await asyncio.shield(self._opening)


def _succeeded(task: asyncio.Task[Store]) -> bool:
    return not task.cancelled() and task.exception() is None

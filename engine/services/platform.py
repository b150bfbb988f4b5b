"""Everything that the routes of `/api/v1` work with, in one object."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config import Settings
from engine.services.auth import Auth
from engine.services.companies import Companies
from engine.services.users import Users
from engine.store import Store


@dataclass(frozen=True, slots=True)
class Platform:
    settings: Settings
    store: Store
    auth: Auth
    users: Users
    companies: Companies

    @classmethod
    def over(cls, store: Store, settings: Settings) -> Platform:
        """The use cases over a store."""
        return cls(settings, store, Auth(store, settings), Users(store), Companies(store))

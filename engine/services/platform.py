"""Everything that the routes of `/api/v1` work with, in one object."""

from __future__ import annotations

from dataclasses import dataclass

from engine.config import Settings
from engine.services.agents import Agents, Numbers
from engine.services.auth import Auth
from engine.services.calls import Calls, LiveCalls
from engine.services.companies import Companies
from engine.services.following import Following
from engine.services.knowledge import Knowledge, KnowledgeBackend
from engine.services.provider_keys import ProviderKeys
from engine.services.users import Users
from engine.store import Store
from engine.store.recordings import Recordings


@dataclass(frozen=True, slots=True)
class Platform:
    settings: Settings
    store: Store
    auth: Auth
    users: Users
    companies: Companies
    agents: Agents
    numbers: Numbers
    calls: Calls
    following: Following
    knowledge: Knowledge
    provider_keys: ProviderKeys

    @classmethod
    def over(cls, store: Store, settings: Settings, knowledge: KnowledgeBackend, live: LiveCalls) -> Platform:
        """The use cases over a store, the knowledge application and the calls that go on."""
        return cls(
            settings=settings,
            store=store,
            auth=Auth(store, settings),
            users=Users(store),
            companies=Companies(store, settings.data_dir, knowledge),
            agents=Agents(store, settings),
            numbers=Numbers(store),
            calls=Calls(store, Recordings(settings.data_dir / "recordings"), live),
            following=Following(store),
            provider_keys=ProviderKeys(store, settings),
            knowledge=Knowledge(store, settings.data_dir, knowledge),
        )

"""The `api` Serve application (route prefix /): the HTTP API, with the Switchboard as its source of truth.

`serve_config.yaml` names `deployments.api:build`. A replica holds no state and no model, and needs no CPU
of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from fastapi import FastAPI
from grpc import RpcError
from ray import serve
from ray.actor import ActorHandle
from ray.exceptions import RayActorError, RayError
from ray.serve import Application
from ray.serve.exceptions import RayServeException

from actors.node import prepare_replica
from engine import switches
from engine.api.app import Tenants, create_app
from engine.api.backend import DEMO_AGENT, DEMO_COMPANY
from engine.config import settings
from engine.errors import ConfigurationError, ProviderUnavailable
from engine.providers.base import Passage
from engine.services.agents import Numbers
from engine.store import Store
from engine.store.open import connect

logger = logging.getLogger(__name__)
SWITCHBOARD = "switchboard"
NAMESPACE = "parley"
KNOWLEDGE_S = 10.0


class ClusterBackend:
    """`engine.api.backend.ApiBackend` over the Switchboard actor. Its deadlines are the API's."""

    def __init__(self, store: Store) -> None:
        self._switchboard: ActorHandle[Any] | None = None
        self._numbers = Numbers(store)

    async def capacity(self, company_id: str) -> str | None:
        reason: str | None = await self._ask("capacity", company_id)
        return reason

    async def live(self, call_id: str) -> bool:
        return bool(await self._ask("live", call_id))

    async def agent_for_number(self, number: str) -> tuple[str, str] | None:
        """Whoever has the number; in development the demo agent answers all others."""
        found = await self._numbers.answered_by(number)
        if found is None and settings().environment == "development":
            return DEMO_COMPANY, DEMO_AGENT
        return found

    async def ready(self) -> Mapping[str, str | None]:
        try:
            await self._ask("capacity", DEMO_COMPANY)
        except ProviderUnavailable as error:
            return {SWITCHBOARD: str(error)}
        return {SWITCHBOARD: None}

    async def _ask(self, method: str, argument: str) -> Any:
        """What the Switchboard answers; a handle to a dead one is looked up again the next time.

        Raises ProviderUnavailable.
        """
        try:
            if self._switchboard is None:
                # get_actor asks the cluster's control store and blocks while it does.
                self._switchboard = await asyncio.to_thread(ray.get_actor, SWITCHBOARD, NAMESPACE)
            return await getattr(self._switchboard, method).remote(argument)
        except (RayError, ValueError) as error:
            if isinstance(error, (RayActorError, ValueError)):
                self._switchboard = None
            raise ProviderUnavailable(
                "the switchboard cannot be reached: calls are not taken until it is back",
                provider=SWITCHBOARD,
            ) from error


class ClusterKnowledge:
    """`engine.services.knowledge.KnowledgeBackend` over the knowledge application."""

    def __init__(self) -> None:
        self._handle: Any = None

    async def ingest(self, company_id: str, document_id: str) -> None:
        await self._ask("ingest_upload", company_id, document_id)

    async def forget(self, company_id: str, document_id: str) -> None:
        await self._ask("delete_document", company_id, document_id)

    async def search(self, company_id: str, query: str, limit: int) -> Sequence[Passage]:
        found: Sequence[Passage] = await self._ask("search", company_id, query, limit)
        return found

    async def _ask(self, method: str, *arguments: object) -> Any:
        try:
            async with asyncio.timeout(KNOWLEDGE_S):
                if self._handle is None:
                    # Asks Serve's controller and blocks while it does.
                    self._handle = await asyncio.to_thread(serve.get_app_handle, "knowledge")
                return await getattr(self._handle, method).remote(*arguments)
        except (RayError, RayServeException, RpcError, TimeoutError) as error:
            raise ProviderUnavailable(
                "the knowledge application does not answer: try again", provider="knowledge"
            ) from error


def _app() -> FastAPI:
    """Made in the replica, so that settings are read where they are used."""
    prepare_replica()
    store = connect(settings())
    return create_app(ClusterBackend(store), tenants=Tenants(store, ClusterKnowledge()))


@serve.ingress(_app)
class Api:
    """One API replica."""


deployment = serve.deployment(name="Api", max_ongoing_requests=100, ray_actor_options={"num_cpus": 0})(Api)


def build(args: Mapping[str, Any]) -> Application:
    """The application, as `serve_config.yaml` asks for it; it takes no arguments.

    Raises ConfigurationError for an argument, or without the switches.
    """
    switches.check(os.environ)
    if args:
        raise ConfigurationError(f"the api application takes no arguments, and got {', '.join(sorted(args))}")
    return deployment.bind()

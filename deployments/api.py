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

from fastapi import FastAPI
from grpc import RpcError
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application
from ray.serve.exceptions import RayServeException

from actors import RECORDER, SWITCHBOARD
from actors.named import NamedActor
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
from models import CallKey

logger = logging.getLogger(__name__)
KNOWLEDGE_S = 10.0


class ClusterBackend:
    """`engine.api.backend.ApiBackend` over the named actors. Its deadlines are the API's."""

    def __init__(self, store: Store) -> None:
        self._switchboard = NamedActor(SWITCHBOARD)
        self._recorder = NamedActor(RECORDER)
        self._numbers = Numbers(store)

    async def capacity(self, company_id: str) -> str | None:
        reason: str | None = await _ask(self._switchboard, "capacity", company_id)
        return reason

    async def live(self, call: CallKey) -> bool:
        return bool(await _ask(self._switchboard, "live", call))

    async def wind_up(self, call: CallKey) -> None:
        await _ask(self._switchboard, "wind_up", call)

    async def metrics(self) -> str:
        stats, counted = await asyncio.gather(
            _ask(self._switchboard, "stats"), _ask(self._recorder, "metrics")
        )
        now = {
            "parley_calls_live": len(stats["calls"]),
            "parley_calls_limit": stats["max_calls"],
            "parley_call_actors_idle": len(stats["idle"]),
        }
        gauges = "".join(f"# TYPE {name} gauge\n{name} {value}\n" for name, value in now.items())
        return gauges + str(counted)

    async def agent_for_number(self, number: str) -> tuple[str, str] | None:
        """Whoever has the number; in development the demo agent answers all others."""
        found = await self._numbers.answered_by(number)
        if found is None and settings().environment == "development":
            return DEMO_COMPANY, DEMO_AGENT
        return found

    async def ready(self) -> Mapping[str, str | None]:
        try:
            await _ask(self._switchboard, "capacity", DEMO_COMPANY)
        except ProviderUnavailable as error:
            return {SWITCHBOARD: str(error)}
        return {SWITCHBOARD: None}


async def _ask(actor: NamedActor, method: str, *arguments: object) -> Any:
    """What a named actor answers. Raises ProviderUnavailable."""
    try:
        return await actor.ask(lambda handle: getattr(handle, method).remote(*arguments))
    except (RayError, ValueError) as error:
        raise ProviderUnavailable(
            f"the {actor.name} cannot be reached: calls are not taken until it is back", provider=actor.name
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

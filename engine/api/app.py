"""The HTTP application: what it is, whether it is well, Twilio's webhooks and the talk page."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI, Response
from pydantic import BaseModel

from engine.api import metrics, problems, talk, twilio
from engine.api.backend import ApiBackend, ask
from engine.api.requests import RequestLog
from engine.api.v1 import router as v1
from engine.config import Settings
from engine.config import settings as installation_settings
from engine.services.knowledge import KnowledgeBackend
from engine.services.platform import Platform
from engine.store import Store


class Info(BaseModel):
    """What answers here, and where to go from here."""

    name: str = "parley"
    version: str
    links: dict[str, str]


class Readiness(BaseModel):
    """Whether calls can be taken; `waiting_for`: each part that is not ready -> why."""

    ready: bool
    waiting_for: dict[str, str]


@dataclass(frozen=True, slots=True)
class Tenants:
    """Where companies keep what is theirs."""

    store: Store
    knowledge: KnowledgeBackend


def create_app(
    backend: ApiBackend, settings: Settings | None = None, tenants: Tenants | None = None
) -> FastAPI:
    """The API over `backend`; `settings`: other than the installation's. Without `tenants` no `/api/v1`."""
    config = settings or installation_settings()
    app = FastAPI(title="Parley", version=_version(), docs_url="/docs", redoc_url=None)
    problems.install(app)
    app.add_middleware(RequestLog)
    app.include_router(twilio.router(backend, config))
    app.include_router(talk.router(backend, config))
    app.include_router(metrics.router(backend, config))
    if tenants is not None:
        app.state.platform = Platform.over(tenants.store, config, tenants.knowledge, backend)
        app.include_router(v1.router(), responses=problems.described(400, 401, 403, 404, 409, 422, 429, 503))

    @app.get("/", tags=["server"])
    async def info() -> Info:
        links = {name: f"/{name}" for name in ("health", "ready", "docs", "talk")}
        links["openapi"] = "/openapi.json"
        return Info(version=_version(), links=links)

    @app.get("/health", tags=["server"])
    async def health() -> dict[str, str]:
        """Whether this process answers; says nothing about the models."""
        return {"status": "ok"}

    @app.get("/ready", tags=["server"], responses=_unready())
    async def ready(response: Response) -> Readiness:
        """Whether calls can be taken: 200 or 503."""
        parts = await ask(backend.ready())
        waiting = {part: reason for part, reason in parts.items() if reason is not None}
        response.status_code = 503 if waiting else 200
        return Readiness(ready=not waiting, waiting_for=waiting)

    return app


def _version() -> str:
    try:
        return version("parley")
    except PackageNotFoundError:  # run from a checkout that is on the path and not installed
        return "0"


def _unready() -> dict[int | str, dict[str, Any]]:
    return {503: {"model": Readiness, "description": "Some part is not ready."}}

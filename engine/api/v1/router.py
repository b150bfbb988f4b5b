"""All of `/api/v1`."""

from __future__ import annotations

from fastapi import APIRouter

from engine.api.v1 import agents, analytics, auth, calls, companies, knowledge, live, provider_keys, providers


def router() -> APIRouter:
    routes = APIRouter(prefix="/api/v1")
    for part in (auth, companies, agents, knowledge, calls, provider_keys, providers, live, analytics):
        routes.include_router(part.router)
    return routes

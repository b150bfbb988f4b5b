"""`/metrics`: the installation's figures, for those who run it."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse

from engine.api.backend import ApiBackend, ask
from engine.api.origin import is_local
from engine.config import Settings
from engine.services.access import Forbidden

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def router(backend: ApiBackend, settings: Settings) -> APIRouter:
    routes = APIRouter()

    @routes.get("/metrics", tags=["server"], response_class=PlainTextResponse)
    async def metrics(request: Request) -> PlainTextResponse:
        """Prometheus' text format. For this machine, or with PARLEY_METRICS_TOKEN as the bearer token."""
        if not (is_local(request) or _has_token(request, settings)):
            raise Forbidden("/metrics needs PARLEY_METRICS_TOKEN as a bearer token from other machines")
        return PlainTextResponse(await ask(backend.metrics()), media_type=CONTENT_TYPE)

    return routes


def _has_token(request: Request, settings: Settings) -> bool:
    if settings.metrics_token is None:
        return False
    wanted = f"Bearer {settings.metrics_token.get_secret_value()}"
    return hmac.compare_digest(request.headers.get("authorization", "").encode(), wanted.encode())

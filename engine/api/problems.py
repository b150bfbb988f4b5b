"""Errors as application/problem+json (RFC 9457): one shape for all, with the request's id, no internals."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from engine.errors import ConfigurationError, NoCapacity, ParleyError, ProviderError, Refused, UsageError
from engine.services.access import InUse, InvalidField, NotFound, NotSignedIn, TooLarge, TooMany
from engine.store import Stale, Taken

logger = logging.getLogger(__name__)
_STATUS: tuple[tuple[type[ParleyError], HTTPStatus], ...] = (
    (NoCapacity, HTTPStatus.SERVICE_UNAVAILABLE),
    (NotSignedIn, HTTPStatus.UNAUTHORIZED),
    (TooMany, HTTPStatus.TOO_MANY_REQUESTS),
    (NotFound, HTTPStatus.NOT_FOUND),
    (InUse, HTTPStatus.CONFLICT),
    (TooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (InvalidField, HTTPStatus.UNPROCESSABLE_ENTITY),
    (Taken, HTTPStatus.CONFLICT),
    (Stale, HTTPStatus.CONFLICT),
    (Refused, HTTPStatus.FORBIDDEN),
    (ConfigurationError, HTTPStatus.SERVICE_UNAVAILABLE),
    (UsageError, HTTPStatus.BAD_REQUEST),
    (ProviderError, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Problem(BaseModel):
    """What went wrong, in the words of RFC 9457. `errors`: where in the request, and why."""

    type: str
    title: str
    status: int
    detail: str = ""
    request_id: str
    errors: list[dict[str, Any]] = []


def described(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses as routes document them."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def problem(request: Request, status: int, detail: str = "", **members: Any) -> Response:
    """The response for one problem; `members` extend it."""
    body: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    if detail and detail != body["title"]:
        body["detail"] = detail
    body["request_id"] = getattr(request.state, "request_id", "")
    return JSONResponse(body | members, status_code=status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Answer every error of `app` with a problem."""

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        response = problem(request, error.status_code, error.detail)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [{"where": list(item["loc"]), "message": item["msg"]} for item in error.errors()]
        return problem(request, HTTPStatus.UNPROCESSABLE_ENTITY, "the request is not valid", errors=errors)

    @app.exception_handler(ParleyError)
    async def _parley(request: Request, error: ParleyError) -> Response:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
        if status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error("request %s failed: %s", getattr(request.state, "request_id", ""), error)
        if status is None:
            return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR)
        members: dict[str, Any] = {}
        if isinstance(error, (InvalidField, Taken)):
            members["errors"] = [{"where": ["body", error.field], "message": str(error)}]
        response = problem(request, status, str(error), **members)
        if status is HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        if isinstance(error, TooMany):
            response.headers["Retry-After"] = str(error.retry_after_s)
        return response

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, error: Exception) -> Response:
        # Starlette raises it again after this answer, so the server's log has the traceback.
        return problem(request, HTTPStatus.INTERNAL_SERVER_ERROR)

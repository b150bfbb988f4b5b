"""Around every request: an id, a line in the access log without secrets and callers, safe default headers."""

from __future__ import annotations

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.logs import bind

logger = logging.getLogger("parley.access")
REQUEST_ID_HEADER = "X-Request-Id"
_CLIENT_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_SECRET = re.compile(
    r"(?<=/media/).+|[\w-]{8,}\.[\w-]{4,}\.[\w-]{8,}|\bp[krw]_[\w-]{20,}"
    r"|(?<=/callers/).+|(?:\+|%(?:25)*2B)\d[\d ().-]{4,}|(?<![\w-])\d{7,15}(?![\w-])",
    re.DOTALL | re.IGNORECASE,
)
"""Media tokens, access tokens and the random words of `engine.services.auth`; who called, and telephone
numbers: wherever a client puts them, and however it encodes them."""
_UNPRINTABLE = re.compile(r"[^\x21-\x7e]")
_MAX_LOGGED_PATH_CHARS = 200


def masked(path: str) -> str:
    """A path fit for a log: secrets and callers replaced, nothing that could break the line, not too long."""
    return _UNPRINTABLE.sub("?", _SECRET.sub("***", path))[:_MAX_LOGGED_PATH_CHARS]


class RequestLog:
    """ASGI middleware: the request's id in `request.state` and in the response, and its line in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID_HEADER, "")
        request_id = given if _CLIENT_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        bind(request_id=request_id)
        started = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID_HEADER] = request_id
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        finally:
            logger.info(
                "%s %s %d %.1f ms client=%s request=%s",
                scope["method"],
                masked(scope["path"]),
                status,
                (time.perf_counter() - started) * 1000,
                (scope.get("client") or ("-",))[0],
                request_id,
            )

"""The talk page: call the demo agent from a browser on the machine that runs Parley, and only from there."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from engine.api.backend import DEMO_AGENT, DEMO_COMPANY, ApiBackend, ask
from engine.api.origin import is_local, is_loopback, is_same_origin
from engine.config import Settings
from engine.console import talk
from engine.errors import NoCapacity
from engine.telephony.tokens import MediaClaims, media_url, new_call_id

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "microphone=(self)",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
NOT_HERE = (
    "the talk page is only for the machine that runs Parley: open it by 127.0.0.1, with PARLEY_HOST=127.0.0.1"
)


class SessionRequest(BaseModel):
    """`call_id` of a call whose socket was lost, to go on with it; none starts a new call."""

    call_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")


class Session(BaseModel):
    """Where to connect (good for one connection) and the id to send as `callSid`."""

    url: str
    call_id: str


class TalkPage:
    """The page, its files, and the right to make one call."""

    def __init__(self, backend: ApiBackend, settings: Settings) -> None:
        self._backend = backend
        self._settings = settings
        self._files = {name: talk.read(name) for name in talk.FILES}

    async def page(self, request: Request) -> Response:
        """The page itself."""
        return self._file(request, talk.PAGE)

    async def file(self, request: Request, name: str) -> Response:
        """A script or style sheet of the page."""
        return self._file(request, name)

    async def session(self, request: Request, wanted: SessionRequest | None = None) -> Session:
        """A URL for one media socket: of a new call, or of a live one that lost its socket."""
        self._check_local(request)
        if not is_same_origin(request):
            raise HTTPException(403, "another site's page may not start calls here")
        call_id = wanted.call_id if wanted else None
        if call_id is not None and not await ask(self._backend.live(call_id)):
            raise HTTPException(404, "that call is over: start a new one")
        if call_id is None:
            refusal = await ask(self._backend.capacity(DEMO_COMPANY))
            if refusal is not None:
                raise NoCapacity(refusal)
        claims = MediaClaims(
            DEMO_COMPANY, DEMO_AGENT, call_id or new_call_id(), events=True, caller="browser"
        )
        base = f"{request.url.scheme}://{request.headers['host']}"
        return Session(url=media_url(self._settings, claims, base_url=base), call_id=claims.call_id)

    def _file(self, request: Request, name: str) -> Response:
        self._check_local(request)
        content = self._files.get(name)
        if content is None:
            raise HTTPException(404, "the talk page has no such file")
        return Response(content, media_type=talk.FILES[name], headers=PAGE_HEADERS)

    def _check_local(self, request: Request) -> None:
        if not (is_loopback(self._settings.host) and is_local(request)):
            raise HTTPException(404, NOT_HERE)


def router(backend: ApiBackend, settings: Settings) -> APIRouter:
    """/talk, its files and its session."""
    page = TalkPage(backend, settings)
    routes = APIRouter(tags=["talk"])
    routes.add_api_route(
        "/talk", page.page, methods=["GET"], response_class=Response, include_in_schema=False
    )
    routes.add_api_route("/talk/session", page.session, methods=["POST"], response_model=Session)
    routes.add_api_route(
        "/talk/{name}", page.file, methods=["GET"], response_class=Response, include_in_schema=False
    )
    return routes

"""The talk page: call an agent from a browser.

On the machine that runs Parley it calls the demo agent, without an account. From anywhere else, and for a
company's own agents, its user signs in, and the page asks `/api/v1` like any other client.
"""

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
from models import CallKey

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
    "the demo agent is only for the machine that runs Parley: sign in to call your own agents, "
    "or open the page by 127.0.0.1, with PARLEY_HOST=127.0.0.1"
)


class SessionRequest(BaseModel):
    """`call_id` of a call whose socket was lost, to go on with it; none starts a new call."""

    call_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,64}$")


class Welcome(BaseModel):
    """Whether this browser may call the demo agent without an account."""

    demo: bool


class Session(BaseModel):
    """Where to connect (good for one connection) and the id to send as `callSid`."""

    url: str
    call_id: str


class TalkPage:
    """The page, its files, and the right to make one call to the demo agent."""

    def __init__(self, backend: ApiBackend, settings: Settings) -> None:
        self._backend = backend
        self._settings = settings
        self._files = {name: talk.read(name) for name in talk.FILES}

    async def page(self) -> Response:
        """The page itself."""
        return await self.file(talk.PAGE)

    async def file(self, name: str) -> Response:
        """A script or style sheet of the page."""
        content = self._files.get(name)
        if content is None:
            raise HTTPException(404, "the talk page has no such file")
        return Response(content, media_type=talk.FILES[name], headers=PAGE_HEADERS)

    async def welcome(self, request: Request) -> Welcome:
        """What the page can do before anybody signs in."""
        return Welcome(demo=self._is_here(request))

    async def session(self, request: Request, wanted: SessionRequest | None = None) -> Session:
        """A URL for one media socket: of a new call, or of a live one that lost its socket."""
        if not self._is_here(request):
            raise HTTPException(404, NOT_HERE)
        if not is_same_origin(request):
            raise HTTPException(403, "another site's page may not start calls here")
        call_id = wanted.call_id if wanted else None
        if call_id is not None and not await ask(self._backend.live(CallKey(DEMO_COMPANY, call_id))):
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

    def _is_here(self, request: Request) -> bool:
        return is_loopback(self._settings.host) and is_local(request)


def router(backend: ApiBackend, settings: Settings) -> APIRouter:
    """/talk, its files and its session."""
    page = TalkPage(backend, settings)
    routes = APIRouter(tags=["talk"])
    routes.add_api_route(
        "/talk", page.page, methods=["GET"], response_class=Response, include_in_schema=False
    )
    routes.add_api_route("/talk/welcome", page.welcome, methods=["GET"], response_model=Welcome)
    routes.add_api_route("/talk/session", page.session, methods=["POST"], response_model=Session)
    routes.add_api_route(
        "/talk/{name}", page.file, methods=["GET"], response_class=Response, include_in_schema=False
    )
    return routes

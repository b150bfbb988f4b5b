"""A synchronous client of `/api/v1`: where the server is, who asks, and tokens that are renewed on the way.

Everything that goes wrong is a UsageError of one line. A program sends `PARLEY_API_KEY`; a person sends the
access token that `parley login` keeps, and never to another server than the one that gave it.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx2
from pydantic import BaseModel, TypeAdapter, ValidationError

from engine.api.origin import is_loopback
from engine.cli.api_errors import ApiError, network_errors, refusal, unexpected
from engine.cli.session_file import Kept, SessionFile
from engine.config import refuse_misspelt, settings
from engine.errors import UsageError
from engine.telephony.tokens import local_url
from models import Company
from models.accounts import Account, Session, SignedIn

M = TypeVar("M", bound=BaseModel)
URL_VARIABLE, KEY_VARIABLE = "PARLEY_API_URL", "PARLEY_API_KEY"
PREFIX = "/api/v1"
NOT_SIGNED_IN = "you are not signed in at {}: run `parley login`, or set PARLEY_API_KEY"
OVER = "your session at {} is over: run `parley login`"
_KEY = re.compile(r"pk_[A-Za-z0-9_-]+")
_TIMEOUT = httpx2.Timeout(60.0, connect=5.0)
_EARLY_S = 30.0
"""An access token is renewed before its end: it must be good when the request arrives."""
_LARGEST_PAGE = 200


class _Page(BaseModel):
    items: list[dict[str, Any]]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Body:
    """What a request carries: bytes that can be read anew when it has to be sent again."""

    size: int
    blocks: Callable[[], Iterable[bytes]]


def server_url(given: str | None) -> str:
    """The server's URL without a slash at its end: `given`, PARLEY_API_URL, or where `parley serve` is here.

    Raises UsageError for what is no http or https URL.
    """
    named = given or os.environ.get(URL_VARIABLE)
    if not named:
        return local_url(settings())
    url = named.rstrip("/").removesuffix(PREFIX)
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, an unclosed bracket
        usable = False
    if not usable or "@" in parts.netloc or parts.query or parts.fragment:
        where = "--server" if given else URL_VARIABLE
        raise UsageError(f"{where} must be a URL such as https://voice.example.com or http://127.0.0.1:8000")
    return url


def api_key() -> str | None:
    """PARLEY_API_KEY. Raises UsageError for what is no key."""
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if key and not _KEY.fullmatch(key):
        raise UsageError(f"{KEY_VARIABLE} must be a key such as pk_...: an owner makes one")
    return key or None


class ApiSession:
    """One server, and whoever asks it. Close it, or use it in a `with`."""

    def __init__(self, server: str, key: str | None = None, sessions: SessionFile | None = None) -> None:
        self.server = server
        self._key = key
        self._sessions = sessions or SessionFile()
        # A proxy in the environment is for the world outside of this machine.
        local = is_loopback(urlsplit(server).hostname or "")
        with network_errors(server):  # a host name that is none
            self._client = httpx2.Client(base_url=f"{server}{PREFIX}", timeout=_TIMEOUT, trust_env=not local)

    @classmethod
    def connect(cls, server: str | None) -> ApiSession:
        """As the command line and the environment say. Raises UsageError."""
        refuse_misspelt(os.environ)
        return cls(server_url(server), api_key())

    def __enter__(self) -> ApiSession:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    # Who asks

    @property
    def has_key(self) -> bool:
        return self._key is not None

    def login(self, email: str, password: str) -> Account:
        return self._keep(self._anonymous("/auth/login", {"email": email, "password": password}))

    def register(self, company: str, name: str, email: str, password: str) -> Account:
        """A new company; its owner is signed in."""
        body = {"company": company, "name": name, "email": email, "password": password}
        return self._keep(self._anonymous("/auth/register", body))

    def logout(self) -> bool:
        """Forget the session, and end it at the server. False where there was none.

        Raises UsageError when the server did not hear of it; here the session is forgotten all the same.
        """
        with self._sessions.locked():
            kept = self._sessions.load(self.server)
            if kept is None:
                return False
            self._sessions.save(self.server, None)
        self._anonymous("/auth/logout", {"refresh_token": kept.refresh_token})
        return True

    def own_company(self) -> str:
        """The id of the company that a person or a key belongs to."""
        if not self.has_key:
            return self.ask("GET", "/auth/me", Account).company_id
        for company in self.pages("/companies", Company):  # a key has no account, and sees its own alone
            return company.id
        raise UsageError(f"{KEY_VARIABLE} belongs to no company: say which with --company")

    # Asking

    def ask(self, method: str, path: str, into: type[M], **options: Any) -> M:
        """The answer, parsed. `options`: `json`, `params`, `body` (a Body). Raises UsageError."""
        try:
            return into.model_validate_json(self.read(method, path, **options))
        except ValidationError as error:
            raise unexpected(self.server, error) from error

    def read(self, method: str, path: str, **options: Any) -> bytes:
        """The answer's body as it came."""
        with self.answer(method, path, **options) as response, network_errors(self.server):
            return response.read()

    def pages(
        self, path: str, into: type[M], params: Mapping[str, str] | None = None, most: int | None = None
    ) -> Iterator[M]:
        """The items of a list, page after page, `most` of them at most."""
        parse, cursor, left = TypeAdapter(list[into]).validate_python, None, most  # type: ignore[valid-type]
        while left is None or left > 0:
            asked = dict(params or {}, limit=str(min(left or _LARGEST_PAGE, _LARGEST_PAGE)))
            page = self.ask("GET", path, _Page, params=asked | ({"cursor": cursor} if cursor else {}))
            try:
                yield from parse(page.items)
            except ValidationError as error:
                raise unexpected(self.server, error) from error
            left = None if left is None else left - len(page.items)
            cursor = page.next
            if cursor is None:
                return

    @contextmanager
    def answer(self, method: str, path: str, **options: Any) -> Iterator[httpx2.Response]:
        """A successful answer whose body is still to be read. Raises UsageError."""
        token = self._key or self._token()
        response = self._send(method, path, token, **options)
        if response.status_code == 401 and not self.has_key:
            response.close()  # too old by the server's clock, or it signs with another secret by now
            response = self._send(method, path, self._renewed(token).access_token, **options)
        try:
            if not response.is_success:
                with network_errors(self.server):
                    response.read()
                raise refusal(response, self.server)
            yield response
        finally:
            response.close()

    def _send(
        self, method: str, path: str, token: str | None, *, body: Body | None = None, **options: Any
    ) -> httpx2.Response:
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        if body is not None:
            headers |= {"Content-Length": str(body.size), "Content-Type": "application/octet-stream"}
            options["content"] = body.blocks()
        with network_errors(self.server):
            request = self._client.build_request(method, path, headers=headers, **options)
            return self._client.send(request, stream=True)

    def _anonymous(self, path: str, body: Mapping[str, str]) -> bytes:
        """POST without a token: signing in, renewing, signing out."""
        response = self._send("POST", path, None, json=body)
        with network_errors(self.server):
            content = response.read()
        if not response.is_success:
            raise refusal(response, self.server)
        return content

    # Tokens

    def _keep(self, answer: bytes) -> Account:
        try:
            signed_in = SignedIn.model_validate_json(answer)
        except ValidationError as error:
            raise unexpected(self.server, error) from error
        with self._sessions.locked():
            self._sessions.save(self.server, _kept(signed_in.user.email, signed_in.session))
        return signed_in.user

    def _token(self) -> str:
        kept = self._sessions.load(self.server)
        if kept is None:
            raise UsageError(NOT_SIGNED_IN.format(self.server))
        if kept.expires_at - time.time() < _EARLY_S:
            kept = self._renewed(kept.access_token)
        return kept.access_token

    def _renewed(self, stale: str) -> Kept:
        """The session behind the access token `stale`, renewed here or by another process meanwhile.

        The next refresh token is on the disk before anything else is asked: the last one is void by then.
        """
        with self._sessions.locked():
            kept = self._sessions.load(self.server)
            if kept is None:
                raise UsageError(NOT_SIGNED_IN.format(self.server))
            if kept.access_token != stale:
                return kept
            try:
                answer = self._anonymous("/auth/refresh", {"refresh_token": kept.refresh_token})
                fresh = _kept(kept.email, Session.model_validate_json(answer))
            except ApiError as error:
                if error.status != 401:
                    raise
                self._sessions.save(self.server, None)
                raise UsageError(OVER.format(self.server)) from error
            except ValidationError as error:
                raise unexpected(self.server, error) from error
            self._sessions.save(self.server, fresh)
            return fresh


def _kept(email: str, session: Session) -> Kept:
    expires_at = time.time() + session.expires_in_s
    return Kept(email, session.access_token, session.refresh_token, expires_at)


def segment(text: str) -> str:
    """`text` as one segment of a path. Raises UsageError for what is no text, as some file names are."""
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise UsageError(f"{text!a} is not UTF-8: rename it") from None

"""Media tokens: the right to open one media socket for one call, carried in the URL's path.

A JWT (HS256, nothing else is accepted) with issuer, audience, times and an id. Its holder may connect until
it expires; that it serves one socket only is kept by the Switchboard, which remembers `token_id` until
`expires_at`. Carriers drop query strings from stream URLs, so the token is a path segment. This module
imports PyJWT and no more.
"""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt

from engine.errors import TokenRefused

if TYPE_CHECKING:
    from engine.config import Settings

ALGORITHM = "HS256"
ISSUER = "parley"
AUDIENCE = "parley-media"
LEEWAY_S = 5
"""How far the clocks of the machine that signs and the one that checks may differ."""
MAX_TOKEN_CHARS = 2_048
MAX_CLAIM_CHARS = 128
_TEXTS = {"company_id": "company", "agent_id": "agent", "call_id": "call", "token_id": "jti"}
_OPTIONAL_TEXTS = {"caller": "caller", "called": "called"}
_FLAGS = {"events": "events", "record": "record"}


def new_token_id() -> str:
    return secrets.token_urlsafe(16)


def new_call_id() -> str:
    """An id for a call that no carrier numbered: a browser's, a simulator's."""
    return f"PC{secrets.token_hex(16)}"


@dataclass(frozen=True, slots=True)
class MediaClaims:
    """What a token says. `events`: its holder also gets the in-band `parley` events (transcript, timings).

    `expires_at` (Unix seconds) is set by `verify`: after it, the token is refused for its age alone.
    """

    company_id: str
    agent_id: str
    call_id: str
    token_id: str = field(default_factory=new_token_id)
    events: bool = False
    caller: str = ""
    called: str = ""
    record: bool = False
    expires_at: float = 0.0


def issue(claims: MediaClaims, secret: str, ttl_s: float) -> str:
    """A signed token, good from now for `ttl_s` seconds."""
    now = time.time()
    payload: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "iat": int(now),
        "exp": math.ceil(now + ttl_s),
    }
    for attribute, name in (_TEXTS | _OPTIONAL_TEXTS | _FLAGS).items():
        value = getattr(claims, attribute)
        if value:
            payload[name] = value
    return jwt.encode(payload, secret, algorithm=ALGORITHM)


def verify(token: str, secret: str) -> MediaClaims:
    """The claims of a token that is ours and has not expired. Raises TokenRefused."""
    if len(token) > MAX_TOKEN_CHARS:
        raise TokenRefused("the media token is too long to be one")
    try:
        payload = jwt.decode(
            token,
            secret,
            algorithms=[ALGORITHM],
            audience=AUDIENCE,
            issuer=ISSUER,
            leeway=LEEWAY_S,
            options={"require": ["iss", "aud", "exp", "iat", "jti"]},
        )
    except jwt.ExpiredSignatureError as error:
        raise TokenRefused("the media token has expired: ask for a new one") from error
    except (jwt.InvalidTokenError, ValueError) as error:
        raise TokenRefused("the media token is not valid: ask this server for one") from error
    values: dict[str, Any] = {attribute: _text(payload, name) for attribute, name in _TEXTS.items()}
    values |= {attribute: _text(payload, name, "") for attribute, name in _OPTIONAL_TEXTS.items()}
    values |= {attribute: payload.get(name) is True for attribute, name in _FLAGS.items()}
    return MediaClaims(**values, expires_at=float(payload["exp"]) + LEEWAY_S)


def media_url(
    settings: Settings, claims: MediaClaims, *, base_url: str | None = None, ttl_s: float | None = None
) -> str:
    """A WebSocket URL with a fresh token for `claims`, such as ws://127.0.0.1:8000/media/eyJ...

    `base_url` is how the peer reaches this server (http, https, ws or wss); without it the installation's
    public URL, or its own address.
    """
    base = base_url or settings.public_url or local_url(settings)
    scheme, _, rest = base.rstrip("/").partition("://")
    websocket = {"http": "ws", "https": "wss"}.get(scheme, scheme)
    token = issue(claims, settings.signing_secret(), ttl_s or settings.media_token_ttl_s)
    return f"{websocket}://{rest}/media/{token}"


def local_url(settings: Settings) -> str:
    """How this server is reached from its own machine, such as http://127.0.0.1:8000."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"


def _text(payload: dict[str, Any], name: str, default: str | None = None) -> str:
    value = payload.get(name, default)
    if not isinstance(value, str) or len(value) > MAX_CLAIM_CHARS or (default is None and not value):
        raise TokenRefused(f"the media token has no usable {name} claim")
    return value

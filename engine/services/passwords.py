"""Passwords: bcrypt, off the event loop."""

from __future__ import annotations

import asyncio
from functools import cache

import bcrypt

from engine.services.access import InvalidField

SHORTEST = 10
ROUNDS = 12
"""A quarter of a second a guess."""
MOST_BYTES = 72
"""bcrypt looks at no more, so that what is longer would match by its beginning."""


async def hash_password(password: str, field: str = "password") -> str:
    """Raises InvalidField for one that is too short or too long."""
    if len(password) < SHORTEST:
        raise InvalidField(field, f"a password has at least {SHORTEST} characters")
    if len(password.encode()) > MOST_BYTES:
        raise InvalidField(field, f"a password has at most {MOST_BYTES} bytes")
    return await asyncio.to_thread(_hash, password)


async def is_password(password: str, hashed: str | None) -> bool:
    """Takes as long where there is no hash: how long it takes does not tell who has an account."""
    return await asyncio.to_thread(_check, password, hashed) and hashed is not None


def _hash(password: str) -> str:
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(ROUNDS)).decode()


def _check(password: str, hashed: str | None) -> bool:
    raw = password.encode()
    known = (hashed or _nobodys()).encode()
    return len(raw) <= MOST_BYTES and b"\0" not in raw and bcrypt.checkpw(raw, known)


@cache
def _nobodys() -> str:
    return _hash("nobody has this password")

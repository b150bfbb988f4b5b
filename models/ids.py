"""Ids: opaque, unguessable, and in the order in which they were made."""

from __future__ import annotations

import secrets
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32: its order is that of its digits, and no two look alike."""
_TIME_DIGITS, _RANDOM_DIGITS = 10, 16


def new_id(prefix: str) -> str:
    """Such as `usr_01jcq8...`: 10 digits of milliseconds, 16 of chance (80 bits)."""
    at_ms = time.time_ns() // 1_000_000
    return f"{prefix}_{_digits(at_ms, _TIME_DIGITS)}{_digits(secrets.randbits(80), _RANDOM_DIGITS)}"


def dated_id(at_ms: int, name: str) -> str:
    """An id that begins with a time, for something that is named from outside and listed by its time."""
    return f"{_digits(at_ms, _TIME_DIGITS)}-{name}"


def _digits(number: int, count: int) -> str:
    return "".join(_ALPHABET[(number >> 5 * place) & 31] for place in reversed(range(count)))

"""Who asks, and whether they may. Every use case takes an `Access`, and nothing else says who is asking."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import Refused, UsageError
from models import Role


class NotSignedIn(Refused):
    """Nobody whom this installation knows is asking: sign in, or use a key that is not revoked."""


class Forbidden(Refused):
    """Whoever asks is known and may not do this."""


class TooMany(Refused):
    """Tried too often; `retry_after_s` says how long to wait."""

    def __init__(self, retry_after_s: float) -> None:
        self.retry_after_s = max(1, round(retry_after_s))
        super().__init__(f"too many attempts: try again in {self.retry_after_s} s")


class TooLarge(UsageError):
    """The body is larger than it may be; the message says by how much."""


class InUse(UsageError):
    """It cannot go while something else needs it; the message names what."""


class NotFound(UsageError):
    """There is no such thing, or it is another company's: the two look the same from outside."""


class InvalidField(UsageError):
    """One field of a request cannot be as it is; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Principal:
    """A person or a program. `user_id` is empty for a program, whose key is `key_id`."""

    company_id: str
    role: Role
    user_id: str = ""
    key_id: str = ""

    def enter(self, company_id: str, needed: Role) -> Access:
        """Access to a company's things. Raises NotFound for another's, Forbidden for too low a role."""
        if company_id != self.company_id and self.role is not Role.ADMIN:
            raise NotFound(f"there is no company {company_id}")
        if not self.role.can(needed):
            raise Forbidden(f"this needs the role '{needed}', and yours is '{self.role}'")
        return Access(company_id, self)


@dataclass(frozen=True, slots=True)
class Access:
    """The right to work in one company. Made by `Principal.enter` alone."""

    company_id: str
    principal: Principal

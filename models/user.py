"""Who may do what: people, their sessions, and keys for programs."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime

from models.document import TenantDocument

PLATFORM = "platform"
"""The company of those who run the installation."""


class Role(StrEnum):
    """From least to most; `can` is the one place where that order counts."""

    AGENT = "agent"
    MANAGER = "manager"
    OWNER = "owner"
    ADMIN = "admin"

    def can(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


class User(TenantDocument):
    """A person of one company. `email` is lower case and unique in the installation."""

    email: str
    name: str
    role: Role
    password_hash: str | None = None
    """None until an invitation is accepted."""
    active: bool = True
    password_changed_at: AwareDatetime | None = None
    """Tokens from before are void."""


class RefreshToken(TenantDocument):
    """One link of a session's chain. `family`: the session. Used twice, the whole family goes."""

    user_id: str
    family: str
    token_hash: str
    expires_at: AwareDatetime
    used: bool = False


class ResetToken(TenantDocument):
    """Right to set a password once: a reset or an invitation."""

    user_id: str
    token_hash: str
    expires_at: AwareDatetime
    used: bool = False


class ApiKey(TenantDocument):
    """A program's key: shown once, kept as a hash. `hint`: its last characters."""

    name: str
    key_hash: str
    hint: str
    role: Role
    revoked: bool = False
    last_used_at: AwareDatetime | None = None


class ProviderKey(TenantDocument):
    """A company's own key of a cloud vendor, sealed. `hint`: its last characters."""

    vendor: str
    sealed: str
    hint: str

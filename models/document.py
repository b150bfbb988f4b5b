"""What everything that the store keeps has in common."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field


def now() -> datetime:
    """UTC, to the millisecond: as exact as any of the stores keeps it."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


class Document(BaseModel):
    """One stored thing. `version` counts its writes from 1: an update names the one that it read."""

    # An error that is logged names the field that is wrong, and not who called or what is a secret.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    version: int = Field(default=1, ge=1)
    created_at: AwareDatetime = Field(default_factory=now)
    updated_at: AwareDatetime = Field(default_factory=now)


class TenantDocument(Document):
    """One stored thing of one company."""

    company_id: str

"""A tenant."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from models.document import Document


class Company(Document):
    """Its own id stands for it in every document of its own."""

    name: str = Field(min_length=1, max_length=200)
    status: Literal["active", "suspended"] = "active"
    max_calls: int = Field(default=8, ge=1, description="calls at once")
    retention_days: int | None = Field(
        default=None, ge=1, description="calls are kept so long; None: for good"
    )

"""A tenant."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Company(BaseModel):
    id: str
    name: str = Field(min_length=1, max_length=200)
    status: Literal["active", "suspended"] = "active"
    max_calls: int = Field(default=8, ge=1, description="calls at once")

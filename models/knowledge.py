"""What a company uploads."""

from __future__ import annotations

from typing import Literal

from models.document import TenantDocument

DocumentStatus = Literal["waiting", "reading", "embedding", "ready", "failed"]


class KnowledgeDocument(TenantDocument):
    """One upload. `name` is unique in the company: uploading it again replaces it."""

    name: str
    media_type: str
    size_bytes: int
    sha256: str
    status: DocumentStatus = "waiting"
    error: str | None = None
    """Why it failed, in one line for the one who uploaded it."""
    pages: int | None = None
    passages: int = 0
    passages_done: int = 0

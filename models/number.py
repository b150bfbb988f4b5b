"""A telephone number and who answers it."""

from __future__ import annotations

from models.document import TenantDocument


class PhoneNumber(TenantDocument):
    """`number` is E.164 and unique in the installation."""

    number: str
    agent_id: str

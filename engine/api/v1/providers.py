"""Providers of the installation, for those who run it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from engine.api.v1.common import Using, principal
from engine.providers import status
from engine.providers.registry import Kind
from engine.services.access import Forbidden, Principal
from models import Role

router = APIRouter(prefix="/providers", tags=["providers"])


async def operator(asking: Annotated[Principal, Depends(principal)]) -> None:
    """Only for the installation's admins."""
    if asking.role is not Role.ADMIN:
        raise Forbidden("providers are for those who run this installation")


@router.get("", dependencies=[Depends(operator)])
async def providers(using: Using) -> list[status.Provider]:
    """Every provider, its place in the chains, and what it would need."""
    return status.providers(using.settings)


@router.post("/check", dependencies=[Depends(operator)])
async def check(using: Using, kind: Kind | None = None) -> list[status.Check]:
    """Ask every vendor whose key is set for a small sample."""
    return await status.check(using.settings, [kind] if kind else [])

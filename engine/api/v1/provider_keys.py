"""A company's own keys of cloud vendors."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Response

from engine.api.v1.common import Listing, Owner, Using
from models import accounts

router = APIRouter(prefix="/companies/{company_id}/provider-keys", tags=["providers"])
Vendor = Annotated[str, Path(pattern=r"^[a-z]{2,32}$")]


@router.get("")
async def keys(using: Using, access: Owner) -> Listing[accounts.OwnKey]:
    """Which there are; a key itself is never shown."""
    return Listing(items=[accounts.OwnKey.of(key) for key in await using.provider_keys.list(access)])


@router.put("/{vendor}")
async def put_key(using: Using, access: Owner, vendor: Vendor, body: accounts.SetOwnKey) -> accounts.OwnKey:
    """Set the company's own key of a vendor; its agents' calls use it instead of the installation's."""
    return accounts.OwnKey.of(await using.provider_keys.put(access, vendor, body.key))


@router.delete("/{vendor}", status_code=204)
async def delete_key(using: Using, access: Owner, vendor: Vendor) -> Response:
    await using.provider_keys.delete(access, vendor)
    return Response(status_code=204)

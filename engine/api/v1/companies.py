"""Companies, their people and their keys."""

from __future__ import annotations

from fastapi import APIRouter, Response

from engine.api.v1.common import (
    Admin,
    Asking,
    Id,
    Listing,
    Manager,
    Owner,
    Paged,
    Reader,
    Using,
    cursor,
)
from engine.services.access import Forbidden
from engine.store.documents import API_KEYS
from models import Company, Role, accounts

router = APIRouter(prefix="/companies")


@router.get("", tags=["companies"])
async def companies(using: Using, asking: Asking, page: Paged) -> Listing[Company]:
    """All companies, for the platform's admins; one's own for anybody else."""
    if asking.role is not Role.ADMIN:
        return Listing(items=[await using.companies.get(asking.enter(asking.company_id, Role.AGENT))])
    found = await using.companies.list(page)
    return Listing(items=list(found), next=cursor(found, page))


@router.post("", status_code=201, tags=["companies"])
async def create_company(using: Using, asking: Asking, body: accounts.CreateCompany) -> Company:
    """For the platform's admins."""
    if asking.role is not Role.ADMIN:
        raise Forbidden("only those who run this installation create companies; others register theirs")
    return await using.companies.create(body)


@router.get("/{company_id}", tags=["companies"])
async def company(using: Using, access: Reader) -> Company:
    return await using.companies.get(access)


@router.patch("/{company_id}", tags=["companies"])
async def update_company(using: Using, access: Owner, body: accounts.UpdateCompany) -> Company:
    return await using.companies.update(access, body)


@router.delete("/{company_id}", status_code=204, tags=["companies"])
async def delete_company(using: Using, access: Admin) -> Response:
    """A suspended one, with everything that is its own."""
    await using.companies.delete(access)
    return Response(status_code=204)


@router.get("/{company_id}/users", tags=["users"])
async def users(using: Using, access: Manager, page: Paged) -> Listing[accounts.Account]:
    found = await using.users.list(access, page)
    return Listing(items=[accounts.Account.of(user) for user in found], next=cursor(found, page))


@router.post("/{company_id}/users", status_code=201, tags=["users"])
async def invite(using: Using, access: Owner, body: accounts.Invite) -> accounts.Invited:
    """A new user, and the token with which the person chooses a password."""
    user = await using.users.invite(access, body)
    return accounts.Invited(user=accounts.Account.of(user), token=await using.auth.reset_token(user))


@router.get("/{company_id}/users/{user_id}", tags=["users"])
async def user(using: Using, access: Manager, user_id: Id) -> accounts.Account:
    return accounts.Account.of(await using.users.get(access, user_id))


@router.patch("/{company_id}/users/{user_id}", tags=["users"])
async def update_user(
    using: Using, access: Owner, user_id: Id, body: accounts.UpdateUser
) -> accounts.Account:
    return accounts.Account.of(await using.users.update(access, user_id, body))


@router.delete("/{company_id}/users/{user_id}", status_code=204, tags=["users"])
async def delete_user(using: Using, access: Owner, user_id: Id) -> Response:
    await using.users.delete(access, user_id)
    return Response(status_code=204)


@router.post("/{company_id}/users/{user_id}/reset", status_code=201, tags=["users"])
async def reset_user(using: Using, access: Owner, user_id: Id) -> accounts.Invited:
    """A token with which the person chooses another password."""
    found = await using.users.get(access, user_id)
    if not access.principal.role.can(found.role):
        raise Forbidden(f"'{found.role.value}' is above your role")
    return accounts.Invited(user=accounts.Account.of(found), token=await using.auth.reset_token(found))


@router.get("/{company_id}/api-keys", tags=["api keys"])
async def keys(using: Using, access: Owner, page: Paged) -> Listing[accounts.Key]:
    found = await using.store.documents.find(API_KEYS, access.company_id, {}, page)
    return Listing(items=[accounts.Key.of(key) for key in found], next=cursor(found, page))


@router.post("/{company_id}/api-keys", status_code=201, tags=["api keys"])
async def create_key(using: Using, access: Owner, body: accounts.CreateKey) -> accounts.NewKey:
    """A key for a program; its secret is shown now and never again."""
    key, secret = await using.auth.create_key(access.company_id, body.name, body.role)
    return accounts.NewKey(key=accounts.Key.of(key), secret=secret)


@router.delete("/{company_id}/api-keys/{key_id}", status_code=204, tags=["api keys"])
async def revoke_key(using: Using, access: Owner, key_id: Id) -> Response:
    """It is refused from now on."""
    await using.auth.revoke_key(access.company_id, key_id)
    return Response(status_code=204)

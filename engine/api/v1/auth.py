"""Signing up, in and out; passwords."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from engine.api.origin import client_address
from engine.api.v1.common import Asking, Using
from engine.services.auth import Registration, Tokens
from models import User, accounts

router = APIRouter(prefix="/auth", tags=["auth"])


def _session(tokens: Tokens) -> accounts.Session:
    return accounts.Session(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        expires_in_s=tokens.expires_in_s,
    )


def _signed_in(user: User, tokens: Tokens) -> accounts.SignedIn:
    return accounts.SignedIn(user=accounts.Account.of(user), session=_session(tokens))


@router.post("/register", status_code=201)
async def register(using: Using, request: Request, body: accounts.Register) -> accounts.SignedIn:
    """A new company and its owner."""
    address = client_address(request, using.settings)
    return _signed_in(*await using.auth.register(Registration(**body.model_dump()), address))


@router.post("/login")
async def login(using: Using, request: Request, body: accounts.Login) -> accounts.SignedIn:
    address = client_address(request, using.settings)
    return _signed_in(*await using.auth.login(body.email, body.password, address))


@router.post("/refresh")
async def refresh(using: Using, body: accounts.Refresh) -> accounts.Session:
    """The next pair of tokens. A refresh token is good once: used again, the session ends."""
    return _session(await using.auth.refresh(body.refresh_token))


@router.post("/logout", status_code=204)
async def logout(using: Using, body: accounts.Refresh) -> Response:
    """End the session."""
    await using.auth.logout(body.refresh_token)
    return Response(status_code=204)


@router.get("/me")
async def me(using: Using, asking: Asking) -> accounts.Account:
    """Who is asking."""
    return accounts.Account.of(await using.auth.user(asking))


@router.post("/password")
async def change_password(using: Using, asking: Asking, body: accounts.ChangePassword) -> accounts.Session:
    """Ends all other sessions."""
    return _session(await using.auth.change_password(asking, body.old_password, body.new_password))


@router.post("/password/reset")
async def reset_password(using: Using, body: accounts.SetPassword) -> accounts.SignedIn:
    """Choose a password with the token of an invitation or a reset."""
    return _signed_in(*await using.auth.reset_password(body.token, body.password))

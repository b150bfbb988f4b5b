"""`parley users`: the first account of an installation, made where its store is."""

from __future__ import annotations

import asyncio

import click

from engine.cli.prompts import password_option, read_password
from engine.config import settings
from engine.errors import UsageError


@click.group()
def users() -> None:
    """Accounts of those who run this installation."""


@users.command("create-admin")
@click.option("--email", required=True, help="E-mail address to sign in with.")
@click.option("--name", default="Admin", show_default=True, help="What to call this person.")
@password_option
def create_admin(email: str, name: str, password_stdin: bool) -> None:
    """Make an account that may see and change every company."""
    from pydantic import TypeAdapter, ValidationError

    from models import Role
    from models.accounts import Invite
    from models.fields import Password

    try:
        asked = Invite(email=email, name=name, role=Role.ADMIN)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--{first['loc'][0]}: {first['msg']}") from None
    password = read_password(password_stdin, confirm=True)
    try:
        TypeAdapter(Password).validate_python(password)
    except ValidationError as error:
        # Otherwise it could be set here, and no request could ever send it.
        raise UsageError(f"password: {error.errors()[0]['msg']}") from None
    asyncio.run(_create(asked.email, asked.name, password))
    click.echo(f"{asked.email} may sign in at /api/v1/auth/login")


async def _create(email: str, name: str, password: str) -> None:
    from engine.services.passwords import hash_password
    from engine.store import Taken, put_company
    from engine.store.documents import USERS
    from engine.store.open import open_store
    from models import Company, Role, User, new_id
    from models.user import PLATFORM

    hashed = await hash_password(password)
    store = await open_store(settings())
    try:
        if await store.company(PLATFORM) is None:
            await put_company(store, Company(id=PLATFORM, name="Platform"))
        admin = User(
            id=new_id("usr"),
            company_id=PLATFORM,
            email=email,
            name=name,
            role=Role.ADMIN,
            password_hash=hashed,
        )
        await store.documents.insert(USERS, admin)
    except Taken:
        raise UsageError(f"there is an account for {email} already") from None
    finally:
        await store.close()

"""`parley login` and `parley logout`: a person's session at a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.asking import Asking, asks, say
from engine.cli.prompts import password_option, read_password

if TYPE_CHECKING:
    from models.accounts import Account


@click.command()
@click.option("--email", help="E-mail address of the account; asked for when it is not given.")
@password_option
@asks
def login(asking: Asking, email: str | None, password_stdin: bool) -> None:
    """Sign in, and keep the session for the commands that follow."""
    email = email or click.prompt("E-mail", err=True)
    signed_in(asking, asking.api.login(email, read_password(password_stdin)))


@click.command()
@asks
def logout(asking: Asking) -> None:
    """End the session at the server, and forget it here."""
    from engine.cli.output import emit_json

    ended = asking.api.logout()
    if asking.as_json:
        emit_json({"ended": ended})
    else:
        say(f"signed out at {asking.api.server}" if ended else f"nobody is signed in at {asking.api.server}")


def signed_in(asking: Asking, account: Account) -> None:
    """Say who is signed in now."""
    asking.show(
        account,
        lambda: say(
            f"signed in at {asking.api.server} as {account.email}, {account.role} of {account.company_id}"
        ),
    )
    if asking.api.has_key:
        click.echo("PARLEY_API_KEY is set, and goes before this session", err=True)

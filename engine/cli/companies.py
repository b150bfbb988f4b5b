"""`parley companies`: register one, and see those that one may see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from engine.cli.asking import Asking, asks, local_time
from engine.cli.login import signed_in
from engine.cli.output import print_table
from engine.cli.prompts import password_option, read_password

if TYPE_CHECKING:
    from models import Company


@click.group()
def companies() -> None:
    """Companies of a running server."""


@companies.command("create")
@click.argument("name")
@click.option("--owner-name", required=True, help="What to call its owner.")
@click.option("--email", required=True, help="E-mail address with which the owner signs in.")
@password_option
@asks
def create(asking: Asking, name: str, owner_name: str, email: str, password_stdin: bool) -> None:
    """Register the company NAME with its owner, and sign the owner in."""
    password = read_password(password_stdin, confirm=True)
    signed_in(asking, asking.api.register(name, owner_name, email, password))


@companies.command("list")
@asks
def list_companies(asking: Asking) -> None:
    """Your own company; those who run the installation see all."""
    from models import Company

    found = list(asking.api.pages("/companies", Company))
    asking.show(found, lambda: _draw(found))


@companies.command("show")
@click.argument("company", required=False)
@asks
def show(asking: Asking) -> None:
    """Show the company with the id COMPANY, or your own."""
    from models import Company

    found = asking.api.ask("GET", asking.base, Company)
    asking.show(found, lambda: _draw([found]))


def _draw(found: Sequence[Company]) -> None:
    print_table(
        ("id", "name", "status", "calls at once", "calls kept for", "since"),
        [
            (
                company.id,
                company.name,
                company.status,
                str(company.max_calls),
                "good" if company.retention_days is None else f"{company.retention_days} days",
                local_time(company.created_at),
            )
            for company in found
        ],
    )

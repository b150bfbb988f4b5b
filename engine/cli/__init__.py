"""The `parley` command: a group whose commands are imported only when they are asked for.

`parley --help` and `parley media-url` start in a fraction of a second, although `serve` imports Ray: the
table below holds each command's place and its one line of help. A command raises `ParleyError` for what a
person can mend; only this file turns that into one line on stderr and exit status 1.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import click

from engine.errors import ConfigurationError, ParleyError


class Entry(NamedTuple):
    """Where a command lives (`module:attribute`) and its line in `parley --help`."""

    place: str
    help: str


COMMANDS: dict[str, Entry] = {
    "serve": Entry("engine.cli.serve:serve", "Answer calls: start everything, here or on a cluster."),
    "demo": Entry("engine.cli.demo:demo", "Serve, call the demo agent, and play you the conversation."),
    "call": Entry("engine.cli.call:call", "Call an agent with recorded questions and judge its answers."),
    "media-url": Entry("engine.cli.media_url:command", "Print a URL at which one call can be placed."),
    "login": Entry("engine.cli.login:login", "Sign in at a running server."),
    "logout": Entry("engine.cli.login:logout", "Sign out, and forget the session."),
    "companies": Entry("engine.cli.companies:companies", "Register a company; list and show companies."),
    "documents": Entry("engine.cli.documents:documents", "Upload, list, delete and search documents."),
    "agents": Entry("engine.cli.agents:agents", "List, create, publish and call agents."),
    "calls": Entry("engine.cli.calls:calls", "List, show, follow and end calls; transcripts."),
    "users": Entry("engine.cli.users:users", "Make the first account of those who run the installation."),
    "providers": Entry("engine.cli.providers:providers", "List cloud vendors and check that they answer."),
    "bench": Entry("engine.cli.bench:bench", "Measure latency and capacity with simulated callers."),
    "models": Entry("engine.cli.models:models", "List, fetch and check model weights."),
    "doctor": Entry("engine.cli.doctor:doctor", "Check this machine and say how to mend what is wrong."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when it is invoked, never to show the group's own help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else load(entry)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what a person can mend ends with one line and status 1, an interrupt with 130."""
        try:
            return super().invoke(ctx)
        except ParleyError as error:
            from engine.cli.output import print_error, print_traceback

            if ctx.params.get("verbose"):
                print_traceback()
            print_error(str(error))
            ctx.exit(1)
        except (KeyboardInterrupt, click.Abort):
            click.echo(err=True)  # the terminal's ^C stands alone on its line
            ctx.exit(130)


def load(entry: Entry) -> click.Command:
    """Import a command; raises ConfigurationError if this installation does not have it."""
    module_name, _, attribute = entry.place.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            mend = "run `pip install -c constraints.txt -e .` again"
            raise ConfigurationError(f"the Python package '{error.name}' is missing: {mend}") from error
        raise ConfigurationError(f"this installation has no {module_name}: reinstall Parley") from error
    command = getattr(module, attribute, None)
    if not isinstance(command, click.Command):
        raise ConfigurationError(f"{entry.place} is not a command: reinstall Parley")
    return command


def _version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"parley {version('parley')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.option("-v", "--verbose", is_flag=True, help="Show the whole traceback of an error.")
def parley(verbose: bool) -> None:
    """Self-hosted phone agents: a real-time voice engine on Ray."""


main = parley
"""The console script's entry point."""

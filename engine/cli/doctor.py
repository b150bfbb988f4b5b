"""`parley doctor`: is everything here that a call needs? Reads and probes only; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterator

import click

from engine import switches
from engine.cli import checks
from engine.cli.checks import Finding, State
from engine.cli.output import emit_json, styled
from engine.config import Settings, settings
from engine.errors import ConfigurationError

_MARKS: dict[State, tuple[str, str]] = {
    "ok": ("ok", "green"),
    "note": ("note", "yellow"),
    "problem": ("PROBLEM", "red"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--switches", "as_exports", is_flag=True,
              help="Print what each node of a cluster needs in its environment.")  # fmt: skip
def doctor(as_json: bool, as_exports: bool) -> None:
    """Check this machine and say how to mend what is wrong."""
    if as_exports:
        for line in switches.exports():
            click.echo(line)
        return
    findings = list(examine())
    problems = sum(finding.state == "problem" for finding in findings)
    if as_json:
        emit_json({"ok": not problems, "findings": findings})
    else:
        for finding in findings:
            _print(finding)
        click.echo(f"\n{problems} to mend" if problems else "\nready: try `parley demo`")
    if problems:
        raise click.exceptions.Exit(1)


def _print(finding: Finding) -> None:
    mark, colour = _MARKS[finding.state]
    click.echo(f"{styled(f'{mark:>7}', fg=colour)}  {finding.name}: {finding.detail}")
    if finding.mend:
        click.echo(f"{'':9}{finding.mend}")


def examine() -> Iterator[Finding]:
    """Every finding about this machine, installation and settings."""
    yield checks.python()
    yield checks.system()
    yield from checks.scheduler()
    yield from checks.packages()
    yield checks.memory()
    try:
        config = settings()
    except ConfigurationError as error:
        yield Finding("settings", "problem", str(error), "correct it in the environment or in .env")
        return
    yield _settings(config)
    yield from checks.weights()
    yield checks.language_model(config)
    yield from checks.ports(config)


def _settings(config: Settings) -> Finding:
    if config.public_url is None and config.twilio_auth_token is not None:
        return Finding(
            "settings", "note", "PARLEY_TWILIO_AUTH_TOKEN is set, PARLEY_PUBLIC_URL is not",
            "set PARLEY_PUBLIC_URL to the https address at which Twilio reaches this server",
        )  # fmt: skip
    return Finding("settings", "ok", f"valid, for {config.environment}")

"""`parley serve`: the whole server on this machine, until Ctrl-C."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from engine import weights
from engine.cli.output import progress, styled
from engine.cli.server_process import ServerProcess
from engine.config import Settings, settings
from engine.errors import ConfigurationError, WeightsError
from engine.providers.installation import check as check_providers
from engine.providers.installation import idle_kinds
from engine.providers.registry import LOCAL

CONFIG = Path("serve_config.yaml")
SERVE_PORTS = {
    "RAY_SERVE_HAPROXY_METRICS_PORT": 9101,
    "RAY_SERVE_HAPROXY_STATS_PORT": 8404,
    "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": 8500,
}
"""Fixed ports that Ray Serve takes beside PARLEY_PORT, and the variables that move them."""


@click.command()
@click.option("--config", type=click.Path(path_type=Path), default=CONFIG, help="A Ray Serve config file.")
@click.option("--knowledge", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
              help="A text for the demo agent instead of the clinic's.")  # fmt: skip
def serve(config: Path, knowledge: Path | None) -> None:
    """Start Ray and every application, print where they are, stay up.

    Ctrl-C lets live calls finish; a second one ends them.
    """
    check_before_start(settings(), config)
    process = ServerProcess(settings(), config=config, knowledge=knowledge)
    try:
        start_with_progress(process)
        _print_places(settings(), process)
        _stay(process)
    finally:
        process.stop()


def check_before_start(configuration: Settings, config: Path) -> None:
    """Everything that can be known to be wrong before Ray is started. Raises in one line."""
    if not config.is_file():
        raise ConfigurationError(
            f"{config} is missing: run this in the project's folder or name one by --config"
        )
    check_providers(configuration)
    unused = set(idle_kinds(configuration))
    if configuration.llm_base_url:
        unused.add("llm")
    if configuration.embeddings_provider != LOCAL:
        unused.add("embeddings")
    kinds = {one.name: one.kind for one in weights.manifest()}
    missing = {name for name in weights.missing() if kinds[name] not in unused}
    if missing:
        names = " ".join(sorted(missing))
        raise WeightsError(f"weights are missing or damaged: run `parley models pull {names}`")
    if sys.platform != "linux":
        click.echo("no HAProxy on this platform: Serve's own proxy is used, slower with many calls", err=True)
    check_ports(configuration, os.environ)


def check_ports(configuration: Settings, environ: Mapping[str, str]) -> None:
    """Raise ConfigurationError for the first port that the server could not listen on."""
    _check_port("PARLEY_PORT", configuration.host, configuration.port)
    if sys.platform != "linux":
        return
    for variable, default in SERVE_PORTS.items():
        value = environ.get(variable, str(default))
        if not value.isdigit():
            raise ConfigurationError(f"{variable} is {value!r}: it has to be a port number")
        _check_port(variable, "127.0.0.1", int(value))


def _check_port(variable: str, host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                mend = f"stop what listens there or set {variable} to another"
                raise ConfigurationError(f"port {port} is taken: {mend}") from error
            what = f"cannot listen on {host}:{port}: {error.strerror}"
            raise ConfigurationError(f"{what}; set PARLEY_HOST or {variable} to another") from error


def start_with_progress(process: ServerProcess) -> None:
    """Wait until the server is ready, with a bar over its applications."""
    with progress("steps") as bars:
        for event in process.wait_until_ready():
            match event:
                case {"event": "ray", "apps": apps}:
                    bars.update("applications", 0, len(apps))
                case {"event": "running", "done": done, "of": total, "app": app}:
                    bars.update("applications", done, total)
                    if done == total:
                        bars.finish("applications", f"all {total} run, {app} last")


def _print_places(configuration: Settings, process: ServerProcess) -> None:
    base = f"http://{configuration.host}:{configuration.port}"
    click.echo(f"{styled('Parley answers.', bold=True)}  Ctrl-C: let live calls finish and stop.")
    rows = (
        ("talk to it", f"{base}/talk"),
        ("call it", "parley call, or any Twilio-protocol client at `parley media-url`"),
        ("API", f"{base}/openapi.json"),
        ("Twilio webhook", f"{configuration.public_url or base}/telephony/twilio/voice"),
        ("log", str(process.log_path)),
        (
            "listens",
            f"{configuration.host}:{configuration.port} for callers; docs/security.md lists the rest",
        ),
    )
    for name, value in rows:
        click.echo(f"  {name:<16}{value}")


def _stay(process: ServerProcess) -> None:
    """Pass Ctrl-C on and report until the server has ended."""

    def pass_on(*_: Any) -> None:
        process.interrupt()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, pass_on)
    for event in process.events():
        match event:
            case {"event": "draining", "calls": calls}:
                click.echo(f"{calls} live calls: waiting for them; Ctrl-C again ends them")
            case {"event": "stopping"}:
                click.echo("stopping")
            case {"event": "failed", "error": error}:
                raise ConfigurationError(error)

"""The whole server on one machine: Ray, the applications of `serve_config.yaml`, the demo company.

Run by `parley serve` as a process of its own (`python -m deployments.server`) with the switches already in
its environment. Ctrl-C lets live calls finish, a second one ends them; nothing is left behind.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
import yaml
from ray import serve
from ray.serve._private.api import serve_start
from ray.serve.schema import ServeDeploySchema

from actors import NAMESPACE, SWITCHBOARD
from actors.recorder import recorder
from actors.switchboard import switchboard
from deployments.seeding import seed, seed_for_stubs
from engine import switches
from engine.config import settings
from engine.errors import ConfigurationError, DocumentError, ParleyError
from engine.providers.installation import idle_kinds
from engine.providers.stub import read_delays
from engine.telephony.tokens import local_url

log = logging.getLogger("parley.server")

READY_S = 240.0
DRAIN_S = switches.LONGEST_CALL_S
STOP_S = 20.0


def report(**line: Any) -> None:
    """One JSON line on stdout for whoever started this process."""
    print(json.dumps(line), flush=True)


@contextmanager
def local_ray() -> Iterator[None]:
    """Ray on loopback for as long as this process lives."""
    cpus = float(os.environ.get("PARLEY_NUM_CPUS") or os.cpu_count() or 1)
    ray.init(
        address="local",
        namespace=NAMESPACE,
        num_cpus=int(cpus),
        include_dashboard=False,
        log_to_driver=True,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )
    try:
        yield
    finally:
        ray.shutdown()


def read_config(path: Path) -> ServeDeploySchema:
    """The Serve config with host and port of the settings. Raises ConfigurationError in one line."""
    try:
        document = yaml.safe_load(path.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read {path}: {' '.join(str(error).split())}") from error
    http = document.setdefault("http_options", {})
    http["host"], http["port"] = settings().host, settings().port
    try:
        return ServeDeploySchema.model_validate(document)
    except ValueError as error:
        raise ConfigurationError(f"{path}: {' '.join(str(error).split())}") from error


def without_models(config: ServeDeploySchema) -> ServeDeploySchema:
    """Only the applications that take traffic: the others are models."""
    routed = [app for app in config.applications if app.route_prefix is not None]
    return config.model_copy(update={"applications": routed})


def only_needed(config: ServeDeploySchema) -> ServeDeploySchema:
    """Without the models that no chain of providers asks: vendors serve those kinds alone."""
    idle = idle_kinds(settings())
    needed = [app for app in config.applications if app.name not in idle]
    return config.model_copy(update={"applications": needed})


def read_knowledge(path: Path) -> tuple[str, str]:
    """(text, name) of a file; raises DocumentError when it is not text."""
    try:
        return path.read_text(encoding="utf-8"), path.name
    except (OSError, UnicodeDecodeError) as error:
        raise DocumentError(f"cannot read {path} as UTF-8 text: {error}") from error


def deploy(config: ServeDeploySchema) -> None:
    """Start every application and wait until all run; reports progress."""
    client = serve_start(http_options=config.http_options.model_dump(), proxy_location=config.proxy_location)
    client.deploy_apps(config, _blocking=False)
    wanted = {app.name for app in config.applications}
    running: set[str] = set()
    deadline = time.monotonic() + READY_S
    while running != wanted:
        if time.monotonic() > deadline:
            missing = ", ".join(sorted(wanted - running))
            raise ConfigurationError(f"these applications did not start within {READY_S:.0f} s: {missing}")
        time.sleep(0.1)
        for name, app in serve.status().applications.items():
            if app.status in ("DEPLOY_FAILED", "UNHEALTHY"):
                raise ConfigurationError(f"application '{name}' failed: {_cause(app)}")
            if app.status == "RUNNING" and name in wanted - running:
                running.add(name)
                report(event="running", app=name, done=len(running), of=len(wanted))


def _cause(app: Any) -> str:
    """The last telling line of a failed application's message."""
    messages = [app.message, *(deployment.message for deployment in app.deployments.values())]
    lines = [line.strip() for message in messages for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    cause: str = (errors or lines or ["no reason given"])[-1]
    return cause


async def wait_for_lines(wanted: int) -> None:
    """Until the switchboard has warm call actors."""
    board = ray.get_actor(SWITCHBOARD, NAMESPACE)
    deadline = time.monotonic() + READY_S
    while len((await board.stats.remote())["idle"]) < wanted:
        if time.monotonic() > deadline:
            raise ConfigurationError("no call actor became ready: see the log above")
        await asyncio.sleep(0.1)


async def drain(hurry: asyncio.Event) -> None:
    """Admit no more calls; wait for the live ones, or end them when hurried."""
    board = ray.get_actor(SWITCHBOARD, NAMESPACE)
    live = await board.drain.remote()
    if live:
        report(event="draining", calls=live)
    deadline = time.monotonic() + DRAIN_S
    while live and not hurry.is_set() and time.monotonic() < deadline:
        live = await _live_soon(board)
    if live:
        await board.wind_up_all.remote()
    deadline = time.monotonic() + STOP_S
    while live and time.monotonic() < deadline:
        live = await _live_soon(board)


async def _live_soon(board: Any) -> int:
    """How many calls are live a moment later: the switchboard is asked, it does not tell."""
    await asyncio.sleep(0.2)
    return len((await board.stats.remote())["calls"])


async def main(arguments: argparse.Namespace) -> None:
    """Start, report `ready`, stay up until a signal, drain, stop."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    if not sys.stdin.isatty():
        # Whoever started this process holds the other end: when it is gone, nobody wants a server any more.
        loop.add_reader(sys.stdin, lambda: on_end_of_input(loop, stop, hurry))
    config = read_config(arguments.config)
    knowledge = read_knowledge(arguments.knowledge) if arguments.knowledge is not None else None
    stubs = None
    if arguments.stubs is not None:
        stubs, config = read_delays(arguments.stubs, settings().environment), without_models(config)
    else:
        config = only_needed(config)
    info = settings().data_dir / "server.json"
    with local_ray():
        address = ray.get_runtime_context().gcs_address
        report(event="ray", address=address, apps=[app.name for app in config.applications])
        await recorder().close_all.remote("the server was stopped")
        switchboard(stubs)
        await asyncio.to_thread(deploy, config)
        if stubs is not None:
            await seed_for_stubs()
        else:
            source, passages = await seed(knowledge)
            report(event="knowledge", source=source, passages=passages)
        await wait_for_lines(settings().warm_calls)
        info.write_text(json.dumps({"pid": os.getpid(), "url": local_url(settings())}))
        try:
            report(event="ready", url=local_url(settings()))
            await stop.wait()
            await drain(hurry)
        finally:
            info.unlink(missing_ok=True)
            report(event="stopping")
            await asyncio.to_thread(serve.shutdown)
    report(event="stopped")


def on_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event, hurry: asyncio.Event) -> None:
    """Standard input was closed: stop and end live calls."""
    if not os.read(sys.stdin.fileno(), 1024):
        loop.remove_reader(sys.stdin)
        stop.set()
        hurry.set()


def run() -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.server", description=__doc__)
    parser.add_argument("--config", type=Path, default=Path("serve_config.yaml"))
    parser.add_argument("--knowledge", type=Path, default=None)
    parser.add_argument(
        "--stubs", metavar="JSON", default=None, help="no models; delays of their stubs, in ms"
    )
    arguments = parser.parse_args()
    try:
        switches.check(os.environ, platform=sys.platform)
        settings().data_dir.mkdir(parents=True, exist_ok=True)
        asyncio.run(main(arguments))
    except ParleyError as error:
        # From an actor, with its traceback as text: `cause` is the error itself.
        report(event="failed", error=str(getattr(error, "cause", error)))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())

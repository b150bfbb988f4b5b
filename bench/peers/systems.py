"""The systems that are compared, each started and stopped as a whole."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.peers.children import LLM, ROOT, bot, facts_service, llama_server, running
from bench.peers.plan import Arm
from engine.api.backend import DEMO_AGENT, DEMO_COMPANY
from engine.cli.serve import SERVE_PORTS, check_before_start
from engine.cli.server_process import ServerProcess as Parley
from engine.config import Settings, settings
from engine.errors import ConfigurationError
from engine.providers.llm.server_process import ServerProcess
from engine.simulator.carrier import CallIdentity
from engine.telephony.tokens import MediaClaims, local_url, media_url

PORTS = range(20_000, 30_000)
FULL_WINDOW_FRAMES = 3_000
"""10 ms each: the 30 s on which Whisper was trained, and on which others run it."""


@dataclass(frozen=True, slots=True)
class System:
    """One that takes calls now. `pids`: the roots of all its processes."""

    url_for: Callable[[CallIdentity], str]
    pids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run keeps logs and data, the peer's Python, and a language model's server for all, if any."""

    folder: Path
    peer_python: Path
    shared_llm: ServerProcess | None = None


@asynccontextmanager
async def started(arm: Arm, place: Place) -> AsyncIterator[System]:
    """The arm's system, ready for calls; stopped at the end, whatever happens. Raises ParleyErrors."""
    if arm.name == "pipecat":
        async with _pipecat(place) as system:
            yield system
    else:
        padding = FULL_WINDOW_FRAMES if arm.name == "parley-full-window" else None
        async with _parley(place, arm.name, padding) as system:
            yield system


@asynccontextmanager
async def _pipecat(place: Place) -> AsyncIterator[System]:
    async with AsyncExitStack() as stack:
        llm = place.shared_llm
        if llm is None:
            llm = await stack.enter_async_context(running(llama_server(place.folder)))
        facts = await stack.enter_async_context(running(facts_service(place.folder)))
        child = bot(place.folder, place.peer_python, llm.address, facts.address)
        peer = await stack.enter_async_context(running(child))
        url = peer.address.base_url
        yield System(lambda _: url, (peer.pid, facts.pid, llm.pid))


@asynccontextmanager
async def _parley(place: Place, name: str, padding_frames: int | None) -> AsyncIterator[System]:
    folder = place.folder / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    config = write_config(folder, padding_frames=padding_frames, remote_llm=place.shared_llm is not None)
    for variable in SERVE_PORTS:
        os.environ.setdefault(variable, str(free_port()))
    chosen = settings().model_copy(
        update={"port": free_port(), "data_dir": folder / "data", "host": "127.0.0.1"}
    )
    check_before_start(chosen, config)
    with _environment(place.shared_llm):
        parley = Parley(chosen, config=config)
    try:
        await asyncio.to_thread(lambda: list(parley.wait_until_ready()))
        pids = (parley.pid,) if place.shared_llm is None else (parley.pid, place.shared_llm.pid)
        yield System(lambda identity: _url(chosen, identity), pids)
    finally:
        await asyncio.shield(asyncio.to_thread(parley.stop))


def _url(chosen: Settings, identity: CallIdentity) -> str:
    """With events: they tell an answer from a filler, which must not pass for one."""
    claims = MediaClaims(DEMO_COMPANY, DEMO_AGENT, identity.call_sid, events=True)
    return media_url(chosen, claims, base_url=local_url(chosen))


def write_config(folder: Path, *, padding_frames: int | None = None, remote_llm: bool = False) -> Path:
    """serve_config.yaml with what an arm changes in it, as a file in `folder`."""
    document = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    changes: dict[str, dict[str, object]] = {}
    if padding_frames is not None:
        changes["stt"] = {"padding_frames": padding_frames}
    if remote_llm:
        changes["llm"] = {"engine": "remote", "dialect": "llama.cpp"}
    for application in document["applications"]:
        if application["name"] in changes:
            application["args"] = {**application.get("args", {}), **changes[application["name"]]}
    path = folder / "serve_config.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@contextmanager
def _environment(llm: ServerProcess | None) -> Iterator[None]:
    """What Parley's processes are told of a shared language model, while they are started."""
    if llm is None:
        yield
        return
    told = {
        "PARLEY_LLM_BASE_URL": llm.address.base_url,
        "PARLEY_LLM_MODEL": LLM,
        "PARLEY_LLM_API_KEY": llm.address.api_key,
    }
    os.environ.update(told)
    try:
        yield
    finally:
        for name in told:
            del os.environ[name]


def check_same_model() -> None:
    """Raises ConfigurationError where Parley would use another language model or index than the peer."""
    for variable, value in (("LLM_BASE_URL", settings().llm_base_url), ("QDRANT_URL", settings().qdrant_url)):
        if value is not None:
            raise ConfigurationError(f"PARLEY_{variable} is set, and the peer has no part in it: unset it")


def free_port() -> int:
    """One that nothing listens on, outside of the ranges from which Linux and Ray take theirs meanwhile.

    Raises ConfigurationError.
    """
    for port in random.sample(PORTS, 50):
        with closing(socket.socket()) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ConfigurationError(f"no free port between {PORTS[0]} and {PORTS[-1]}: stop what listens there")

"""What `parley doctor` looks at, one function a check. Metadata and probes only: no model, no Ray."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from engine.cli.output import human_bytes
from engine.config import Settings
from engine.weights import library

DISTRIBUTION = "parley"
STARTER_BYTES = 4 << 30
"""What the whole starter stack takes on one machine, models and Ray included."""
_CONNECT_S = 2.0
_MODULES = {
    "pydantic-settings": "pydantic_settings",
    "pyjwt": "jwt",
    "pyyaml": "yaml",
    "python-docx": "docx",
    "piper-tts": "piper",
    "qdrant-edge-py": "qdrant_edge",
}
_REINSTALL = "run `pip install -c constraints.txt -e .` again in this environment"
_CGROUP = Path("/sys/fs/cgroup")
_AUTOGROUP = Path("/proc/sys/kernel/sched_autogroup_enabled")

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; a `problem` keeps Parley from answering calls, a `note` does not."""

    name: str
    state: State
    detail: str
    mend: str = ""


def python() -> Finding:
    """The interpreter's version, against what the distribution asks for."""
    asked = importlib.metadata.metadata(DISTRIBUTION)["Requires-Python"]
    version = platform.python_version()
    if SpecifierSet(asked).contains(version, prereleases=True):
        return Finding("python", "ok", f"{version} ({sys.executable})")
    mend = "make the environment again with a Python of that version"
    return Finding("python", "problem", f"{version}, but {asked} is needed", mend)


def system() -> Finding:
    """The operating system: Linux is where Parley is at home."""
    name, cores = platform.system(), os.cpu_count() or 1
    detail = f"{name} {platform.machine()}, {cores} cores"
    if name == "Linux":
        return Finding("system", "ok", detail)
    if name == "Darwin":
        slower = "calls pass through Ray Serve's own proxy (HAProxy is for Linux only): fit for trying"
        return Finding("system", "note", f"{detail}; {slower}")
    return Finding("system", "problem", f"{detail}: Ray Serve's proxy needs Linux", "use WSL2 with Ubuntu")


def scheduler() -> Iterator[Finding]:
    """Linux's grouping of processes by session, under which Parley's wait for each other under load."""
    try:
        grouped = _AUTOGROUP.read_text().strip() == "1"
    except OSError:
        return  # not Linux, or a kernel without it
    if grouped:
        yield Finding(
            "scheduler", "note",
            "kernel.sched_autogroup_enabled is 1: with busy processors calls may be late by half a second",
            "fine in a container or a service; otherwise `sysctl -w kernel.sched_autogroup_enabled=0`",
        )  # fmt: skip


def packages() -> Iterator[Finding]:
    """Each distribution that Parley or its `piper` extra needs: is it here, in a version that will do?"""
    good = 0
    for line in importlib.metadata.requires(DISTRIBUTION) or ():
        requirement = Requirement(line)
        extra = re.search(r'extra == "(\w+)"', str(requirement.marker or ""))
        if extra and extra.group(1) != "piper":
            continue
        name = requirement.name
        mend = _REINSTALL.replace(" -e .", ' -e ".[piper]"') if extra else _REINSTALL
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, "problem", "is not installed", mend)
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield Finding(name, "problem", f"{version}, but {requirement.specifier} is needed", mend)
        elif importlib.util.find_spec(_MODULES.get(name.lower(), name.replace("-", "_"))) is None:
            yield Finding(name, "problem", f"{version} is installed but cannot be imported", mend)
        else:
            good += 1
    yield Finding("packages", "ok", f"{good} of the right version")


def memory() -> Finding:
    """Memory that is free for models and calls, within a container's limit if there is one."""
    free = psutil.virtual_memory().available
    limit = _container_room()
    free = free if limit is None else min(free, limit)
    detail = f"{human_bytes(free)} available"
    if free >= STARTER_BYTES:
        return Finding("memory", "ok", detail)
    return Finding(
        "memory", "note", f"{detail}; the starter models and Ray take about {human_bytes(STARTER_BYTES)}",
        "close something, give the container more, or move the language model to PARLEY_LLM_BASE_URL",
    )  # fmt: skip


def _container_room() -> int | None:
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return None
    return int(limit) - used if limit.isdigit() else None


def weights() -> Iterator[Finding]:
    """The starter set: is each file there and of its size? (`parley models verify` also hashes.)"""
    shelf = library()
    whole = []
    for name in shelf.names("starter"):
        problems = shelf.verify(name)
        if problems:
            yield Finding(name, "problem", problems[0].split(": run")[0], f"run `parley models pull {name}`")
        else:
            whole.append(name)
    if whole:
        yield Finding("weights", "ok", f"{', '.join(whole)} in {shelf.directory}")


def language_model(config: Settings) -> Finding:
    """Which model answers, and can its server be reached?"""
    if config.llm_base_url is None:
        return Finding(
            "language model", "note", "SmolLM2 135M: shows that everything works, too small for real callers",
            "set PARLEY_LLM_BASE_URL and PARLEY_LLM_MODEL; see `parley models list --larger`",
        )  # fmt: skip
    what = f"{config.llm_model} at {config.llm_base_url}"
    url = urlsplit(config.llm_base_url)
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname or "", port), timeout=_CONNECT_S).close()
    except (OSError, ValueError) as error:
        detail = f"{what} cannot be reached: {error}"
        return Finding("language model", "problem", detail, "start that server, or correct the URL")
    return Finding("language model", "ok", what)


def ports(config: Settings) -> Iterator[Finding]:
    """The ports that `parley serve` will listen on: are they free?"""
    wanted = {
        config.port: ("calls and the API", "set PARLEY_PORT"),
        _port("RAY_SERVE_HAPROXY_METRICS_PORT", 9101): ("metrics", "set RAY_SERVE_HAPROXY_METRICS_PORT"),
        _port("RAY_SERVE_HAPROXY_STATS_PORT", 8404): ("proxy statistics", "set RAY_SERVE_HAPROXY_STATS_PORT"),
        _port("RAY_SERVE_FALLBACK_PROXY_HTTP_PORT", 8500): (
            "the fallback proxy",
            "set RAY_SERVE_FALLBACK_PROXY_HTTP_PORT",
        ),
        8265: ("Ray's dashboard", "stop the other Ray, or start without a dashboard"),
    }
    free = []
    for port, (what, otherwise) in wanted.items():
        if _free(port):
            free.append(str(port))
        else:
            detail = f"in use; {what} would listen there"
            yield Finding(f"port {port}", "note", detail, f"fine if Parley is running; otherwise {otherwise}")
    if free:
        yield Finding("ports", "ok", f"{', '.join(free)} are free")


def _port(variable: str, default: int) -> int:
    value = os.environ.get(variable, "")
    return int(value) if value.isdigit() else default


def _free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: a port whose last connections linger in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True

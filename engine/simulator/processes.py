"""A server's processes by what they are for: the CPU and memory of each kind over a stretch of time.

`usage.Meter` adds a whole tree up; this tells who of it has used what. A kind is read from the command line,
which Ray sets to the name of the class that runs in a process.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

_MIB = 1024 * 1024

KINDS: Mapping[str, str] = {
    "call actors": r"^ray::CallActor",
    "media edge": r"^ray::ServeReplica:media",
    "api": r"^ray::ServeReplica:api",
    "recorder": r"^ray::Recorder",
    "switchboard": r"^ray::Switchboard",
    "HAProxy": r"^[^:]*haproxy",
    "Serve controller": r"^ray::ServeController",
    "raylet": r"^\S*/raylet( |$)",
    "GCS": r"gcs_server",
}
"""Kind -> what is searched in the command line; the first that is found counts."""
OTHER = "other"


def kind_of(command_line: str) -> str:
    """The kind of a process, `OTHER` for one of none."""
    return next((kind for kind, pattern in KINDS.items() if re.search(pattern, command_line)), OTHER)


@dataclass(frozen=True, slots=True)
class Process:
    """One process at one moment. `cpu_s`: since it began; `private_mib`: USS."""

    kind: str
    cpu_s: float
    private_mib: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A process tree at one moment (monotonic seconds), by pid; numbers are not reused so soon.

    `busy_s`: CPU seconds of the whole machine since it booted.
    """

    at: float
    busy_s: float
    processes: Mapping[int, Process]


@dataclass(frozen=True, slots=True)
class KindUsage:
    """CPU in cores, the average between two snapshots; private memory in MiB and processes at the second."""

    cpu_cores: float
    private_mib: float
    processes: int


def snapshot(root: int) -> Snapshot:
    """Look at a process and all below it, for some tens of ms; those that end meanwhile are left out."""
    found: dict[int, Process] = {}
    at, busy_s = time.monotonic(), _busy_s()
    for process in _tree(root):
        try:
            with process.oneshot():
                used = process.cpu_times()
                kind = kind_of(" ".join(process.cmdline()))
                found[process.pid] = Process(kind, used.user + used.system, 0.0)
        except psutil.Error:
            continue
    return Snapshot(at, busy_s, _with_memory(found))


def _busy_s() -> float:
    times = psutil.cpu_times()
    waiting = ("idle", "iowait", "steal", "guest", "guest_nice")  # guests are in user and nice already
    return float(sum(seconds for name, seconds in times._asdict().items() if name not in waiting))


def _with_memory(found: Mapping[int, Process]) -> dict[int, Process]:
    """Memory is read after all CPU times were: it takes a hundred times as long."""
    measured = {}
    for pid, process in found.items():
        try:
            private = psutil.Process(pid).memory_full_info().uss / _MIB
        except psutil.Error:
            continue
        measured[pid] = Process(process.kind, process.cpu_s, private)
    return measured


def _tree(root: int) -> Iterator[psutil.Process]:
    """A process and all below it, by who started whom."""
    below: dict[int, list[int]] = {}
    for pid in psutil.pids():
        with suppress(psutil.Error):
            below.setdefault(psutil.Process(pid).ppid(), []).append(pid)
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        with suppress(psutil.Error):
            yield psutil.Process(pid)
            waiting += below.get(pid, [])


def busy_cores(first: Snapshot, second: Snapshot) -> float:
    """What the whole machine has used in between, in cores."""
    return (second.busy_s - first.busy_s) / max(second.at - first.at, 1e-9)


def between(first: Snapshot, second: Snapshot) -> dict[str, KindUsage]:
    """What each kind has used. What ended in between is not counted; what began has done all then."""
    wall = max(second.at - first.at, 1e-9)
    usage: dict[str, KindUsage] = {}
    for pid, process in second.processes.items():
        before = first.processes.get(pid)
        cores = (process.cpu_s - (before.cpu_s if before else 0.0)) / wall
        so_far = usage.get(process.kind, KindUsage(0.0, 0.0, 0))
        usage[process.kind] = KindUsage(
            so_far.cpu_cores + cores, so_far.private_mib + process.private_mib, so_far.processes + 1
        )
    return usage

"""What a run costs and where it ran: memory and CPU of the server's processes, the machine, the versions."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import platform
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

_SAMPLE_S = 2.0
_MEMORY_EVERY = 15
"""Looks at CPU times for one at memory, which takes a hundred times as long and holds up who is looked at:
some 40 processes' page tables, 100 to 150 ms each time, in the middle of what is being measured."""
_MIB = 1024 * 1024
_PACKAGES = (
    "parley", "ray", "faster-whisper", "ctranslate2", "piper-tts", "xllamacpp", "onnxruntime", "torch",
    "sentence-transformers", "qdrant-edge-py", "openai", "websockets", "numpy",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and all below it. Memory is private (USS), in MiB; CPU in cores, the run's average."""

    processes: int
    memory_start_mib: float
    memory_peak_mib: float
    memory_end_mib: float
    cpu_cores: float
    wall_s: float


class Meter:
    """Adds up one process tree, sample by sample; processes may come and go in between."""

    def __init__(self, pid: int) -> None:
        self._root = pid
        self._first: dict[tuple[int, float], float] = {}
        self._last: dict[tuple[int, float], float] = {}
        self._memory: list[float] = []
        self._looked = False
        self._processes = 0
        self._started = self._ended = time.monotonic()

    def sample_cpu(self) -> None:
        """Add up CPU times; blocks for some ms. A tree that is gone adds nothing."""
        count = 0
        for process in _tree(self._root):
            try:
                with process.oneshot():
                    key = (process.pid, process.create_time())
                    used = process.cpu_times()
            except psutil.Error:
                continue  # ended while we looked, or not ours to look at
            seconds = used.user + used.system
            # One that came later has done all its work within the run.
            self._first.setdefault(key, seconds if not self._looked else 0.0)
            self._last[key] = seconds
            count += 1
        self._looked = True
        self._processes = max(self._processes, count)
        self._ended = time.monotonic()

    def sample_memory(self) -> None:
        """Add up private memory; blocks for some 100 ms, and holds up each process meanwhile."""
        private = 0.0
        for process in _tree(self._root):
            with contextlib.suppress(psutil.Error):
                private += process.memory_full_info().uss / _MIB
        self._memory.append(private)

    def sample(self) -> None:
        """Look at both."""
        self.sample_cpu()
        self.sample_memory()

    def usage(self) -> Usage:
        """The sum so far; both must have been sampled once."""
        wall = max(self._ended - self._started, 1e-9)
        cpu = sum(seconds - self._first[key] for key, seconds in self._last.items())
        first, peak, last = self._memory[0], max(self._memory), self._memory[-1]
        return Usage(self._processes, first, peak, last, cpu / wall, wall)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


@asynccontextmanager
async def metered(pid: int) -> AsyncIterator[Meter]:
    """A Meter that looks every two seconds while the body runs, every 30 at memory, off the event loop."""
    meter = Meter(pid)
    await asyncio.to_thread(meter.sample)

    async def watch() -> None:
        for look in itertools.count(1):
            await asyncio.sleep(_SAMPLE_S)
            await asyncio.to_thread(meter.sample if look % _MEMORY_EVERY == 0 else meter.sample_cpu)

    watching = asyncio.create_task(watch())
    try:
        yield meter
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await asyncio.to_thread(meter.sample)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs on this machine: its process, and where it is reached (http or https)."""

    pid: int
    url: str


def running_server(data_dir: Path) -> Server | None:
    """What `parley serve` wrote to `server.json`; None when there is none or its process is gone."""
    try:
        written = json.loads((data_dir / "server.json").read_text())
        server = Server(int(written["pid"]), str(written["url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return server if psutil.pid_exists(server.pid) else None


def machine() -> dict[str, Any]:
    """CPU model, cores that this process may use, memory in GiB, operating system."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / _MIB / 1024, 1),
        "system": f"{platform.system()} {platform.release()}",
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of Python and of what decides the timings; what is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found

"""`parley bench --engine-only`: what the engine itself costs, with stubs in the place of the models.

Starts a server of its own in a temporary folder, places a few calls and then many, and stops it. The
simulated callers are in this process, the server is in others.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from engine import weights
from engine.api.backend import DEMO_AGENT, DEMO_COMPANY
from engine.cli.call import write_json
from engine.cli.engine_report import latency, price, render
from engine.cli.output import progress
from engine.cli.serve import CONFIG, check_ports, start_with_progress
from engine.cli.server_process import ServerProcess
from engine.config import Settings, settings
from engine.errors import ConfigurationError, UsageError, WeightsError
from engine.providers.stub import StubDelays
from engine.simulator.carrier import CallIdentity
from engine.simulator.figures import spread
from engine.simulator.load import Load, Outcome, place_calls, spread_questions
from engine.simulator.processes import KindUsage, Snapshot, between, busy_cores, snapshot
from engine.simulator.scenarios.questions import recorded_questions
from engine.simulator.usage import machine, versions
from engine.telephony.tokens import MediaClaims, local_url, media_url

CALLS, FEW_CALLS = 12, 2
ROUNDS = 12
"""Questions a call: of 12 calls more than 100 fall into the time that is measured."""
VAD = "silero-vad"
SPARE_LINES = 4
"""More than calls: the pool is as large beside many calls as beside few."""
STAGGER_S = 1.2
"""From one call to the next: about as long as the pool takes to start another actor."""
SETTLE_S = 6.0
"""From the last call's start until nothing is started any more and all are in their first question."""


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What was asked for; see the options of `parley bench`."""

    calls: int = CALLS
    rounds: int = ROUNDS
    seed: int = 0
    pin: bool = False
    json_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Some calls at once. What was used, and the turns that count, are those of the time from `began`."""

    calls: int
    outcomes: Sequence[Outcome]
    before: Snapshot
    after: Snapshot
    began_unix: float
    simulator_cores: float


def bench_engine(options: EngineOptions) -> None:
    """Measure and print. Raises UsageError or ConfigurationError in one line; leaves nothing behind."""
    if options.calls <= FEW_CALLS:
        raise UsageError(f"--engine-only compares with {FEW_CALLS} calls: ask for more by --calls")
    delays = StubDelays()
    started = datetime.now(UTC)
    with _own_server(options.calls, delays) as (configuration, server):
        if options.pin:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        runs = [
            # Few calls only need the time for an average.
            asyncio.run(
                _measure(configuration, server.pid, FEW_CALLS, options.rounds // 2 + 1, options.seed)
            ),
            asyncio.run(_measure(configuration, server.pid, options.calls, options.rounds, options.seed)),
        ]
    report = assemble(options, delays, started, runs)
    for line in render(report):
        click.echo(line)
    if options.json_file is not None:
        write_json(options.json_file, report)


@contextmanager
def _own_server(calls: int, delays: StubDelays) -> Iterator[tuple[Settings, ServerProcess]]:
    """A server with stubs and data of its own, for as long as the body runs."""
    if VAD in weights.missing():
        raise WeightsError(f"weights are missing or damaged: run `parley models pull {VAD}`")
    if not CONFIG.is_file():
        raise ConfigurationError(f"{CONFIG} is missing: run this in the project's folder")
    with _ended_in_order(), TemporaryDirectory(prefix="parley-bench-") as folder:
        fresh = {
            "data_dir": Path(folder),
            "port": _free_port(),
            "host": "127.0.0.1",
            "max_calls": calls + SPARE_LINES,
        }
        configuration = settings().model_copy(update=fresh)
        try:
            check_ports(configuration, os.environ)
        except ConfigurationError as error:
            raise ConfigurationError(f"stop the Parley that runs on this machine first: {error}") from error
        server = ServerProcess(configuration, config=CONFIG, stubs=delays)
        try:
            start_with_progress(server)
            yield configuration, server
        finally:
            server.stop()


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM as Ctrl-C: what ends this process is to end the server and its folder too."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def _measure(configuration: Settings, server: int, calls: int, rounds: int, seed: int) -> Run:
    """Place calls; measure from when all are under way to the end of the first."""
    questions = recorded_questions("heldout")
    load = Load(spread_questions(questions, calls, rounds, seed), STAGGER_S, seed=seed)
    first_over = asyncio.Event()

    def url(identity: CallIdentity) -> str:
        claims = MediaClaims(DEMO_COMPANY, DEMO_AGENT, identity.call_sid, events=True)
        return media_url(configuration, claims, base_url=local_url(configuration))

    with progress("steps") as bars:
        bars.update(f"{calls} calls", 0, 1)
        placing = asyncio.create_task(place_calls(load, url, lambda _: first_over.set()))
        await asyncio.sleep(calls * STAGGER_S + SETTLE_S)
        if first_over.is_set():
            failures = [outcome.failure for outcome in await placing if outcome.failure]
            raise UsageError(
                failures[0] if failures else "the calls were over too soon: ask for more --rounds"
            )
        before = await asyncio.to_thread(snapshot, server)
        began, cpu, began_unix = time.monotonic(), time.process_time(), time.time()
        await first_over.wait()
        cores = (time.process_time() - cpu) / (time.monotonic() - began)
        after = await asyncio.to_thread(snapshot, server)
        outcomes = await placing
        bars.finish(f"{calls} calls", "over")
    return Run(calls, outcomes, before, after, began_unix, cores)


def assemble(
    options: EngineOptions, delays: StubDelays, started: datetime, runs: Sequence[Run]
) -> dict[str, Any]:
    """The report: figures first, then each run, then how and where."""
    few, many = (between(run.before, run.after) for run in runs)
    prices = price(few, many, runs[-1].calls - runs[0].calls)
    return {
        "date": started.isoformat(timespec="seconds"),
        "options": {
            "calls": options.calls,
            "rounds": options.rounds,
            "seed": options.seed,
            "pin": options.pin,
        },
        "delays": delays.model_dump(),
        "further_call": {kind: _rounded(asdict(one)) for kind, one in prices.items()},
        "runs": [_run_row(run, delays) for run in runs],
        "machine": machine(),
        "versions": versions(),
    }


def _run_row(run: Run, delays: StubDelays) -> dict[str, Any]:
    results = [outcome.result for outcome in run.outcomes if outcome.result is not None]
    turns = [turn for result in results for turn in result.turns]
    measured = [t for t in turns if t.done and t.done[-1].stamps.get("pause", 0.0) / 1000 >= run.began_unix]
    usage = between(run.before, run.after)
    total = KindUsage(
        sum(one.cpu_cores for one in usage.values()),
        sum(one.private_mib for one in usage.values()),
        sum(one.processes for one in usage.values()),
    )
    elsewhere = busy_cores(run.before, run.after) - total.cpu_cores - run.simulator_cores
    return {
        "calls": run.calls,
        "wall_s": round(run.after.at - run.before.at, 1),
        "asked": sum(outcome.rounds for outcome in run.outcomes),
        "answered": sum(turn.answered for turn in turns),
        "failed": [outcome.failure for outcome in run.outcomes if outcome.failure],
        "latency_ms": latency(measured, delays),
        "voice_to_voice_ms": spread(
            [t.voice_to_voice_ms for t in measured if t.voice_to_voice_ms is not None]
        ),
        "usage": {kind: _rounded(asdict(one)) for kind, one in {**usage, "all": total}.items()},
        "elsewhere_cores": round(elsewhere, 3),
        "simulator": {
            "cpu_cores": round(run.simulator_cores, 3),
            "late_ms": spread([ms for result in results for ms in result.tape.lateness_ms()]),
        },
    }


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 4) for name, value in figures.items()}

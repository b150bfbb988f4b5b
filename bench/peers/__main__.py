"""`python -m bench.peers`: Parley beside a peer, with the same callers, one system at a time."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import psutil

from bench.peers.children import ROOT, llama_server, running
from bench.peers.measure import Measured, Scale, judged, load_row, measure, warm_up
from bench.peers.plan import ARMS, Visit, parse_counts, plan
from bench.peers.systems import Place, check_same_model, started
from bench.peers.table import HEADERS, Answer, Row, cells, document, markdown, rows
from engine.cli.call import JUDGE_WEIGHTS, write_json
from engine.cli.output import Bars, console, emit_json, print_error, print_table, print_traceback, progress
from engine.cli.report import LATE_MS
from engine.config import settings
from engine.errors import ConfigurationError, ParleyError
from engine.simulator.usage import machine, versions

BUSY_CORES = 0.3
"""More than this used by others before a system is started, and the times are theirs, too."""
QUIET_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What was asked for; see the options of the command."""

    calls: str
    rounds: int
    repeats: int
    arms: tuple[str, ...]
    seed: int
    shared_llm: bool
    peer_python: Path
    out: Path
    as_json: bool
    verbose: bool


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--calls", default="1,4", show_default=True, help="Numbers of simultaneous calls.")
@click.option("--rounds", type=click.IntRange(1), default=10, show_default=True, help="Questions a call.")
@click.option("--repeats", type=click.IntRange(1), default=2, show_default=True,
              help="How often each system is started and measured, in turn.")  # fmt: skip
@click.option("--arm", "arms", multiple=True, type=click.Choice(list(ARMS)), default=list(ARMS),
              help="Only these systems, in this order; all by default.")  # fmt: skip
@click.option("--seed", type=int, default=0, show_default=True, help="Decides who asks what and when.")
@click.option("--shared-llm", is_flag=True, help="One language model server for all, never stopped between.")
@click.option("--peer-python", type=click.Path(path_type=Path), show_default=True,
              default=ROOT / ".venv-peers/bin/python", help="Made by bench/peers/set_up.sh.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), show_default=True,
              default=ROOT / "bench/results", help="Folder for peers.json and peers.md.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON instead of the table.")
@click.option("-v", "--verbose", is_flag=True, help="Show the whole traceback of an error.")
def main(**given: Any) -> None:
    """Ask Parley and a peer the same questions by the same simulated callers, and print one table.

    Each system runs alone, in turn: it is started, called, and stopped.
    """
    options = Options(**given)
    # As Ctrl-C: everything that was started is stopped.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        compare(options)
    except ParleyError as error:
        if options.verbose:
            print_traceback()
        print_error(str(error))
        sys.exit(1)
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("stopped", err=True)
        sys.exit(130)


def compare(options: Options) -> None:
    """Run the plan, judge, write and print. Raises ParleyErrors."""
    visits, counts = plan(options.arms, options.repeats), parse_counts(options.calls)
    check_same_model()
    if any(visit.arm.name == "pipecat" for visit in visits) and not os.access(options.peer_python, os.X_OK):
        raise ConfigurationError(
            f"the peer is not installed at {options.peer_python}: run bench/peers/set_up.sh"
        )
    began = datetime.now(UTC)
    measured = asyncio.run(run(visits, counts, options, fresh_folder()))
    loads = [load_row(one) for one in measured]
    answers = judge_all(measured)
    table = rows(loads, answers)
    found = machine()
    about = (
        f"{began:%Y-%m-%d}, {found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB, no GPU used; "
        f"{options.repeats} x {options.rounds} questions a call, seed {options.seed}."
    )
    report = {
        "date": began.isoformat(timespec="seconds"),
        "options": {name: getattr(options, name) for name in ("rounds", "repeats", "seed", "shared_llm")},
        "arms": {visit.arm.name: visit.arm.about for visit in visits},
        "machine": found,
        "versions": versions(),
        **document(table, loads, answers),
    }
    write_json(options.out / "peers.json", report)
    (options.out / "peers.md").write_text(markdown(table, about))
    show(options, table, report, about)
    for load in loads:
        if load.late_ms > LATE_MS:
            click.echo(f"the callers were late by {load.late_ms:.0f} ms (p99): times are too long", err=True)
        for failure in load.failures:
            click.echo(f"{load.arm}, {load.calls} calls: a call failed: {failure}", err=True)


def fresh_folder() -> Path:
    """Where a run keeps its logs and data, for as long as there is no other run."""
    folder = settings().data_dir / "peers"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        mend = "set PARLEY_DATA_DIR to a folder that can be written"
        raise ConfigurationError(f"cannot use {folder}: {error.strerror}; {mend}") from error
    return folder


async def run(
    visits: Sequence[Visit], counts: Sequence[int], options: Options, folder: Path
) -> list[Measured]:
    """Visit by visit: start, warm up, measure with each number of calls, stop."""
    measured: list[Measured] = []
    async with AsyncExitStack() as stack:
        bars = stack.enter_context(progress("steps"))
        llm = await stack.enter_async_context(running(llama_server(folder))) if options.shared_llm else None
        place = Place(folder, options.peer_python, llm)
        for number, visit in enumerate(visits, 1):
            name = f"{number}/{len(visits)} {visit.arm.title}"
            await wait_for_quiet(name)
            bars.update(name, 0, sum(counts))
            async with started(visit.arm, place) as system:
                await warm_up(system)
                measured += await visit_all(system, visit, counts, options, _Steps(bars, name, sum(counts)))
            bars.finish(name, f"{sum(counts)} calls over")
    return measured


async def visit_all(
    system: Any, visit: Visit, counts: Sequence[int], options: Options, steps: _Steps
) -> list[Measured]:
    return [
        await measure(system, visit, Scale(calls, options.rounds, options.seed), steps.step)
        for calls in counts
    ]


class _Steps:
    """Calls that are over, on a bar."""

    def __init__(self, bars: Bars, name: str, total: int) -> None:
        self._bars, self._name, self._total, self._done = bars, name, total, 0

    def step(self) -> None:
        self._done += 1
        self._bars.update(self._name, self._done, self._total)


async def wait_for_quiet(name: str) -> None:
    """Say so when something else uses the machine: nothing of ours runs now."""
    psutil.cpu_percent()
    await asyncio.sleep(QUIET_S)
    busy = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
    if busy > BUSY_CORES:
        click.echo(f"{name}: other processes use {busy:.1f} cores now; they are part of its times", err=True)


def judge_all(measured: Sequence[Measured]) -> list[Answer]:
    """Listen to all answers, when no system runs any more."""
    from engine import weights
    from engine.providers.stt.whisper import WhisperDecoder

    decoder = WhisperDecoder.load(weights.folder(JUDGE_WEIGHTS))
    answers: list[Answer] = []
    with progress("steps") as bars:
        for number, one in enumerate(measured, 1):
            answers += judged(one, decoder)
            bars.update("judged", number, len(measured))
        bars.finish("judged", f"{len(answers)} answers")
    return answers


def show(options: Options, table: Sequence[Row], report: dict[str, Any], about: str) -> None:
    if options.as_json:
        emit_json(report)
        return
    print_table(HEADERS, [cells(row) for row in table])
    console().print(about)


if __name__ == "__main__":
    main(prog_name="python -m bench.peers")

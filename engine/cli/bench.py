"""`parley bench`: simultaneous simulated calls to a running server, in real time, and what they measured."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from engine.cli.bench_engine import EngineOptions, bench_engine
from engine.cli.call import (
    fail_on_violations,
    judge_turns,
    url_for,
    write_json,
    write_outputs,
)
from engine.cli.output import progress
from engine.cli.report import call_row, render, summarise
from engine.cli.scenario_report import SCENARIOS, render_scenario, tries
from engine.config import settings
from engine.errors import UsageError
from engine.simulator import recordings
from engine.simulator.carrier import CallIdentity
from engine.simulator.load import Load, Outcome, noise_for, place_calls
from engine.simulator.scenarios.base import Plan, Scenario, utterances
from engine.simulator.usage import Usage, machine, metered, running_server, versions

TURN_S = 6.0
"""About how long a question and its answer last: over so long are the starts of the calls spread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What was asked for; see the options of the command."""

    scenario: str
    calls: int
    rounds: int
    of: recordings.Set
    noise: float | None
    seed: int
    base_url: str | None
    url: str | None
    judged: bool
    json_file: Path | None
    out: Path | None


@click.command()
@click.option(
    "--scenario",
    type=click.Choice(list(SCENARIOS)),
    default="questions",
    show_default=True,
    help="barge-in: another question over the answer; backchannel: a cough or mm-hm over it; "
    "pauses: 0.2 to 0.6 s of silence within the question.",
)
@click.option("--calls", type=click.IntRange(1, 500), default=1, show_default=True, help="Calls at once.")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    help="Questions a call.  [default: 10, or what the scenario needs]",
)
@click.option(
    "--set",
    "of",
    type=click.Choice(["tuning", "heldout"]),
    default="heldout",
    show_default=True,
    help="Bundled questions; the scenario questions also asks what the knowledge base does not answer.",
)
@click.option("--noise", type=float, help="Background noise so many dB below the caller's speech.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides who asks what and when.")
@click.option(
    "--base-url",
    help="The server, such as http://host:8000; by default the one on this machine, which is metered.",
)
@click.option(
    "--url", help="One WebSocket URL for all calls, without tokens: another Twilio-protocol server."
)
@click.option("--judge/--no-judge", "judged", default=True, help="Listen to the answers after the calls.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the report to this file.")
@click.option("--out", type=click.Path(path_type=Path), help="Write WAV and JSON of each call here.")
@click.option(
    "--engine-only",
    is_flag=True,
    help="Instead, measure a server of its own with stubs for the models: 12 calls, 12 rounds unless told.",
)
@click.option("--pin", is_flag=True, help="With --engine-only: keep the simulated callers on one core.")
@click.pass_context
def bench(ctx: click.Context, /, engine_only: bool, pin: bool, rounds: int | None, **given: Any) -> None:
    """Place CALLS simultaneous calls of ROUNDS questions each and print what the callers' ears got.

    Voice to voice: last loud frame of a question sent -> first loud frame of its answer played out.
    """
    if engine_only:
        bench_engine(EngineOptions(pin=pin, **_given_for_engine(ctx)))
        return
    if pin:
        raise UsageError("--pin goes with --engine-only")
    scenario = SCENARIOS[given["scenario"]]
    options = BenchOptions(rounds=rounds or scenario.rounds(given["calls"]), **given)
    run = asyncio.run(measure(options, scenario))
    if all(outcome.failure for outcome in run.outcomes):
        raise UsageError(f"no call could be placed: {run.outcomes[0].failure}")
    report = assemble(options, run, scenario)
    for line in [*render_scenario(report), *render(report)]:
        click.echo(line)
    if options.json_file is not None:
        write_json(options.json_file, report)
    results = [(outcome.number, outcome.result) for outcome in run.outcomes if outcome.result is not None]
    for number, result in results if options.out is not None else ():
        assert options.out is not None
        write_outputs(result, options.out, name=f"call-{number}")
    fail_on_violations(*(result for _, result in results))


def _given_for_engine(ctx: click.Context) -> dict[str, Any]:
    """The options on the command line; raises UsageError for one that says nothing about the engine alone."""
    given = {}
    for parameter in ctx.command.params:
        name = parameter.name or ""
        if ctx.get_parameter_source(name) is not ParameterSource.COMMANDLINE or name in (
            "engine_only",
            "pin",
        ):
            continue
        if name not in EngineOptions.__dataclass_fields__:
            raise UsageError(f"{parameter.opts[0]} does not go with --engine-only")
        given[name] = ctx.params[name]
    return given


@dataclass(frozen=True, slots=True)
class Run:
    """The calls, and what server (where it is on this machine) and simulator used meanwhile."""

    started: datetime
    outcomes: list[Outcome]
    server: Usage | None
    simulator_cores: float


async def measure(options: BenchOptions, scenario: Scenario) -> Run:
    """Place the calls. Judging comes later: it would take CPU from the server that is measured."""
    server = None if options.url or options.base_url else running_server(settings().data_dir)
    started, wall, cpu = datetime.now(UTC), time.monotonic(), time.process_time()
    async with AsyncExitStack() as stack:
        meter = await stack.enter_async_context(metered(server.pid)) if server else None
        bars = stack.enter_context(progress("steps"))
        over = rounds = 0

        def tell(outcome: Outcome) -> None:
            nonlocal over
            over += 1
            bars.update("calls", over, options.calls)

        def count_round() -> None:
            nonlocal rounds
            rounds += 1
            bars.update("rounds", rounds, options.calls * options.rounds)

        load = _load(options, scenario, count_round)
        outcomes = await place_calls(load, partial(_url, options), tell)
        bars.finish("calls", f"{over} over")
    cores = (time.process_time() - cpu) / (time.monotonic() - wall)
    return Run(started, outcomes, meter.usage() if meter else None, cores)


def _load(options: BenchOptions, scenario: Scenario, on_step: Callable[[], None]) -> Load:
    noise = None
    if options.noise is not None:
        noise = noise_for(utterances("question", options.of), options.noise, options.seed)
    return Load(
        scripts=scenario.scripts(Plan(options.calls, options.rounds, options.of, options.seed)),
        stagger_s=TURN_S / options.calls,
        background=noise,
        seed=options.seed,
        on_step=on_step,
    )


def _url(options: BenchOptions, identity: CallIdentity) -> str:
    return options.url or url_for(identity, base_url=options.base_url)


def assemble(options: BenchOptions, run: Run, scenario: Scenario) -> dict[str, Any]:
    """The report: figures first, then where and how, then each call with its turns."""
    results = [outcome.result for outcome in run.outcomes if outcome.result is not None]
    if options.judged:
        script = [spoken.utterance for result in results for spoken in result.spoken]
        judge_turns([turn for result in results for turn in scenario.judged(result)], script)
    asked = asdict(options)
    figures = summarise(run.outcomes)
    return {
        "date": run.started.isoformat(timespec="seconds"),
        "options": {name: asked[name] for name in ("scenario", "calls", "rounds", "of", "noise", "seed")},
        **tries(scenario, results),
        **figures,
        "server": asdict(run.server) if run.server else None,
        "cpu_s_a_turn": _cpu_a_turn(run.server, figures["questions"]["answered"]),
        "simulator": {"cpu_cores": round(run.simulator_cores, 3), "pid": os.getpid()},
        "machine": machine(),
        "versions": versions(),
        "details": [call_row(outcome) for outcome in run.outcomes],
    }


def _cpu_a_turn(server: Usage | None, turns: int) -> float | None:
    """CPU-seconds that the server used for each answered turn, what it uses while idle included."""
    return round(server.cpu_cores * server.wall_s / turns, 3) if server and turns else None

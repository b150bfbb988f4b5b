"""What `parley bench --engine-only` shows: a further call's price and the engine's share of a turn. Pure.

**Price of a further call**: what N calls use less what a few use, for each call more. So what a server uses
without calls, and what does not grow with them, is not in it.

**Engine share of a turn**: the way from the caller's pause to the first byte of the answer, less what the
stubs took on it and less the wait for the end of the turn:

    pause -> transcript         less the STT stub's delay
    transcript -> context       less the search
    context -> first token      less the language model's first word
    first token -> first audio  less the words up to the end of the first clause, less the voice
    ready -> first byte         `ready`: the turn is confirmed and the first audio is there

Every link is counted, also where it was hidden behind the wait: so the sum is what the engine adds at most.
Not in it are what the server's stamps cannot show: the way of the pause from the edge to the actor, and how
late a timer confirms. Both are in `rest`, which the caller's ear measured (`report.stage_times`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.cli.report import LATE_MS, Stamps, stage_times
from engine.providers.stub import StubDelays
from engine.simulator.analysis import TurnResult
from engine.simulator.figures import spread
from engine.simulator.processes import KindUsage

TARGET_CORES = 0.035
TARGET_MIB = 90 * 1_000_000 / (1 << 20)
TARGET_SHARE_MS = {"p50": 25.0, "p99": 70.0}
TARGET_RELEASE_MS = {"p99": 10.0}

BUSY_CORES = 0.25
"""The kernel's own work for all these sockets is below this; more is somebody else's."""

Usage = Mapping[str, KindUsage]


@dataclass(frozen=True, slots=True)
class Price:
    """What one call more uses: CPU in cores, private memory in MiB."""

    cpu_cores: float
    private_mib: float


def price(few: Usage, many: Usage, further: int) -> dict[str, Price]:
    """Kind of process -> what each of `further` calls added to it; `all` is the sum."""
    prices = {}
    nothing = KindUsage(0.0, 0.0, 0)
    for kind in sorted(few.keys() | many.keys()):
        less, more = few.get(kind, nothing), many.get(kind, nothing)
        cores = (more.cpu_cores - less.cpu_cores) / further
        prices[kind] = Price(cores, (more.private_mib - less.private_mib) / further)
    total = Price(sum(p.cpu_cores for p in prices.values()), sum(p.private_mib for p in prices.values()))
    return {**prices, "all": total}


def links(stamps: Stamps, delays: StubDelays) -> dict[str, float] | None:
    """Link of the way to the answer -> ms that the engine took; None where a stamp is missing."""
    way = (
        ("transcript", "pause", delays.stt_ms),
        ("context", "transcript", delays.search_ms),
        ("first_token", "context", delays.first_token_ms),
        ("first_audio", "first_token", delays.first_clause_ms + delays.tts_ms),
    )
    needed = {"pause", "confirmed", "first_byte", *(stamp for stamp, _, _ in way)}
    if not needed <= stamps.keys():
        return None
    took = {stamp.replace("_", " "): stamps[stamp] - stamps[since] - delay for stamp, since, delay in way}
    ready = max(stamps["confirmed"], stamps["first_audio"])
    return {**took, "first byte": stamps["first_byte"] - ready}


def latency(turns: Sequence[TurnResult], delays: StubDelays) -> dict[str, Any]:
    """Spreads over turns: `share` and its links, `release` (confirmed to first byte, where all was ready)."""
    ways = [way for turn in turns if turn.done and (way := links(turn.done[-1].stamps, delays)) is not None]
    times = [stage_times(turn) for turn in turns]
    return {
        "share": spread([sum(way.values()) for way in ways]),
        "links": {name: spread([way[name] for way in ways]) for name in (ways[0] if ways else ())},
        "release": spread([one["engine"] for one in times if "engine" in one]),
        "rest": spread([one["rest"] for one in times if "rest" in one]),
    }


def render(report: Mapping[str, Any]) -> list[str]:
    """The report as lines of text."""
    few, many = report["runs"]
    compared = f"from {few['calls']} to {many['calls']} calls"
    lines = [f"{'a further call':<20}{'cores':>8}{'MiB private':>14}   {compared}"]
    lines += _prices(report["further_call"])
    lines.append("")
    lines.append(
        f"{'ms, ' + str(many['calls']) + ' calls':<20}{'n':>6}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}"
    )
    lines += _times(many["latency_ms"])
    return lines + list(_surroundings(report))


def _prices(prices: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    dearest = sorted(prices.items(), key=lambda item: (item[0] == "all", -item[1]["cpu_cores"]))
    for kind, one in dearest:
        target = f"   target: {TARGET_CORES:g} core, {TARGET_MIB:.0f} MiB" if kind == "all" else ""
        yield f"{kind:<20}{one['cpu_cores']:>8.4f}{one['private_mib']:>14.1f}{target}"


def _times(latency_ms: Mapping[str, Any]) -> Iterator[str]:
    rows = {
        "engine share": (latency_ms["share"], TARGET_SHARE_MS),
        **{f"  {name}": (figures, {}) for name, figures in latency_ms["links"].items()},
        "confirmed to byte": (latency_ms["release"], TARGET_RELEASE_MS),
        "rest, at the ear": (latency_ms["rest"], {}),
    }
    for name, (figures, target) in rows.items():
        if figures is None:
            yield f"{name:<20}{0:>6}"
            continue
        columns = "".join(f"{figures[key]:>8.1f}" for key in ("p50", "p95", "p99", "max"))
        wanted = ", ".join(f"{key} {limit:g}" for key, limit in target.items())
        yield f"{name:<20}{figures['n']:>6}{columns}" + (f"   target: {wanted}" if wanted else "")


def _surroundings(report: Mapping[str, Any]) -> Iterator[str]:
    for run in report["runs"]:
        simulator = run["simulator"]
        yield (
            f"{run['calls']} calls: server {run['usage']['all']['cpu_cores']:.2f} cores, "
            f"{run['usage']['all']['private_mib']:.0f} MiB, for {run['wall_s']:.0f} s; answered "
            f"{run['answered']} of {run['asked']}; simulator {simulator['cpu_cores']:.2f} cores, "
            f"late by p99 {simulator['late_ms']['p99']:.1f} ms; elsewhere {run['elsewhere_cores']:.2f} cores"
        )
        if simulator["late_ms"]["p99"] > LATE_MS or run["elsewhere_cores"] > BUSY_CORES:
            yield "the machine had other work to do: the times above are too long"
    delays = ", ".join(f"{name.removesuffix('_ms')} {ms:g}" for name, ms in report["delays"].items())
    yield f"stubs, ms: {delays}"
    machine = report["machine"]
    yield f"{report['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['system']}"

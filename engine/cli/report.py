"""What a run of simulated calls shows: figures, tables and timelines. Pure functions over results.

Percentiles are by nearest rank (`engine.simulator.figures`).

`voice_to_voice_ms` is of generated answers alone: fixed phrases are kept as audio and would flatter it.

A question that was planned and not answered counts against `answered`; it is in no percentile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from engine.simulator.analysis import TurnResult
from engine.simulator.figures import percentile, spread
from engine.simulator.load import Outcome

LATE_MS = 20.0
"""A simulator whose ticks come later than a frame in 1 of 100 cases measures itself, not the server."""

Stamps = Mapping[str, float]


class Stage(NamedTuple):
    """A stage of a turn: from the latest of those stamps in `after` that are there to `stamp`."""

    name: str
    after: tuple[str, ...]
    stamp: str


STAGES = (
    Stage("pause", ("speech_end",), "pause"),
    Stage("transcript", ("pause",), "transcript"),
    Stage("intonation", ("pause",), "score"),
    Stage("words", ("transcript",), "words"),
    Stage("end of turn", ("speech_end",), "confirmed"),
    Stage("context", ("transcript",), "context"),
    Stage("first token", ("transcript", "context"), "first_token"),
    Stage("first audio", ("transcript", "context", "first_token"), "first_audio"),
    Stage("release", ("confirmed", "first_audio"), "released"),
    Stage("first byte", ("released",), "first_byte"),
)


def spans(stamps: Stamps) -> Iterator[tuple[str, float, float]]:
    """(stage, start, end) in the unit of the stamps, for each stage of which both are known."""
    for stage in STAGES:
        before = [stamps[name] for name in stage.after if name in stamps]
        if before and stage.stamp in stamps:
            yield stage.name, max(before), stamps[stage.stamp]


def stage_times(turn: TurnResult) -> dict[str, float]:
    """Stage -> ms, of the server's turn that answered; with what no stamp shows by itself:

    `engine`: confirmed to first byte, where the first audio was ready by then (speculation had worked);
    `rest`: voice to voice less the time until the turn was confirmed *and* audio was there: release, sockets,
    playout clock, and what the server sees of the end of speech later or earlier than the caller.
    """
    if not turn.done:
        return {}
    stamps = turn.done[-1].stamps
    times = {name: end - start for name, start, end in spans(stamps)}
    if {"confirmed", "first_audio"} <= stamps.keys():
        ready = max(stamps["confirmed"], stamps["first_audio"])
        if "first_byte" in stamps and ready == stamps["confirmed"]:
            times["engine"] = stamps["first_byte"] - ready
        if "speech_end" in stamps and turn.voice_to_voice_ms is not None:
            times["rest"] = turn.voice_to_voice_ms - (ready - stamps["speech_end"])
    return times


def waterfall(stamps: Stamps, *, columns: int = 40, bar: str = "#") -> list[str]:
    """The stages of a turn as lines, one bar each on a common scale from the first start to the last end."""
    rows = list(spans(stamps))
    if not rows:
        return []
    first = min(start for _, start, _ in rows)
    scale = columns / max(max(end for _, _, end in rows) - first, 1.0)
    lines = []
    for name, start, end in rows:
        left = min(round((start - first) * scale), columns - 1)
        width = max(1, min(round((end - start) * scale), columns - left))
        drawn = (" " * left + bar * width).ljust(columns)
        lines.append(f"{name:<12}|{drawn}| {end - start:5.0f} ms, at {end - first:5.0f}")
    return lines


def summary_line(turns: Sequence[TurnResult]) -> str:
    """`voice-to-voice p50 NNN ms (p95 NNN ms, answered n of m)`, of generated answers; phrases counted."""
    times = _known(turn.generated_ms for turn in turns)
    phrases = len(_known(turn.phrase_ms for turn in turns))
    answered = f"answered {sum(turn.answered for turn in turns)} of {len(turns)}"
    answered += f", {phrases} by a fixed phrase" if phrases else ""
    if not times:
        return f"voice-to-voice: no generated answer ({answered})"
    p50, p95 = (percentile(times, percent) for percent in (50, 95))
    return f"voice-to-voice p50 {p50:.0f} ms (p95 {p95:.0f} ms, {answered})"


def _known(times: Iterable[float | None]) -> list[float]:
    return [ms for ms in times if ms is not None]


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """All figures of a run that come from its calls."""
    results = [outcome.result for outcome in outcomes if outcome.result is not None]
    turns = [turn for result in results for turn in result.turns]
    judged = [turn.judgement for turn in turns if turn.judgement is not None]
    asked = sum(_planned(outcome) for outcome in outcomes)
    answered = sum(turn.answered for turn in turns)
    stages: dict[str, list[float]] = {}
    for turn in turns:
        for name, ms in stage_times(turn).items():
            stages.setdefault(name, []).append(ms)
    return {
        "voice_to_voice_ms": spread(_known(turn.generated_ms for turn in turns)),
        "fixed_phrases_ms": spread(_known(turn.phrase_ms for turn in turns)),
        "received_ms": spread([t.received_ms for t in turns if t.received_ms is not None]),
        "greeting_ms": spread([r.greeting_ms for r in results if r.greeting_ms is not None]),
        "questions": {
            "asked": asked,
            "answered": answered,
            "answered_share": _share(answered, asked),
            "judged": len(judged),
            "right": sum(judgement.right for judgement in judged),
            "right_share": _share(sum(judgement.right for judgement in judged), len(judged)),
        },
        "stages_ms": {name: spread(times) for name, times in stages.items()},
        "vain": sum((Counter(done.vain) for turn in turns for done in turn.done), Counter[str]()),
        "talk_over_ms": sum(turn.talk_over_ms for turn in turns),
        "gaps": sum(turn.gaps for turn in turns),
        "calls": {
            "placed": len(outcomes),
            "failed": Counter(outcome.failure for outcome in outcomes if outcome.failure),
            "cut_short": sum(result.unsaid > 0 for result in results),
            "violations": Counter(v.rule for result in results for v in result.violations),
        },
        "simulator_late_ms": spread([ms for result in results for ms in result.tape.lateness_ms()]),
    }


def _planned(outcome: Outcome) -> int:
    """Questions: all that were asked, maybe several in a round, and one for each round that was not."""
    result = outcome.result
    return outcome.rounds if result is None else len(result.turns) + result.unsaid


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


def turn_row(turn: TurnResult) -> dict[str, Any]:
    """One turn for JSON: all but its audio."""
    row = asdict(turn)
    del row["answer"]
    row["answered"] = turn.answered
    row["right"] = turn.judgement.right if turn.judgement else None
    row["stages_ms"] = stage_times(turn)
    return row


def call_row(outcome: Outcome) -> dict[str, Any]:
    """One call for JSON."""
    row: dict[str, Any] = {
        "number": outcome.number,
        "rounds": outcome.rounds,
        "failure": outcome.failure,
    }
    result = outcome.result
    if result is not None:
        row |= {
            "call_sid": result.identity.call_sid,
            "call_id": result.call_id,
            "started_unix": result.started_unix,
            "greeting_ms": result.greeting_ms,
            "close_code": result.close_code,
            "ended": result.ended,
            "unsaid": result.unsaid,
            "violations": [asdict(violation) for violation in result.violations],
            "turns": [turn_row(turn) for turn in result.turns],
        }
    return row


def render(report: Mapping[str, Any]) -> list[str]:
    """The report of `parley bench` as lines of text."""
    questions, calls = report["questions"], report["calls"]
    lines = [
        f"{'':<16}{'n':>6}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8}   ms",
        *_rows({"voice to voice": report["voice_to_voice_ms"], "fixed phrases": report["fixed_phrases_ms"]}),
        *_rows({"greeting": report["greeting_ms"]}),
        *_rows(report["stages_ms"]),
        f"answered {questions['answered']} of {questions['asked']}{_percent(questions['answered_share'])}",
    ]
    if questions["judged"]:
        right = f"{questions['right']} of {questions['judged']}{_percent(questions['right_share'])}"
        lines.append(f"rightly  {right}")
    lines.append(f"talk-over {report['talk_over_ms']} ms, gaps in speech {report['gaps']}")
    if vain := report["vain"]:
        made = ", ".join(f"{count} {what}" for what, count in vain.items())
        lines.append(f"for nothing, in pauses that were not the end: {made}")
    for reason, count in {**calls["failed"], **calls["violations"]}.items():
        lines.append(f"{count} x {reason}")
    if calls["cut_short"]:
        lines.append(f"{calls['cut_short']} calls ended before their last question")
    return lines + list(_surroundings(report))


def _rows(stages: Mapping[str, Mapping[str, float] | None]) -> Iterator[str]:
    for name, figures in stages.items():
        if figures is not None:
            columns = "".join(f"{figures[key]:>8.0f}" for key in ("p50", "p95", "p99", "max"))
            yield f"{name:<16}{figures['n']:>6.0f}{columns}"


def _percent(share: float | None) -> str:
    return "" if share is None else f" ({share:.1%})"


def _surroundings(report: Mapping[str, Any]) -> Iterator[str]:
    """What the server and the simulator used, and where."""
    server = report.get("server")
    if server:
        memory = "/".join(f"{server[f'memory_{when}_mib']:.0f}" for when in ("start", "peak", "end"))
        yield (
            f"server: {server['cpu_cores']:.2f} cores, {memory} MiB private at start/peak/end, "
            f"{server['processes']} processes"
        )
        if report["cpu_s_a_turn"] is not None:
            yield f"server: {report['cpu_s_a_turn']:.2f} CPU-seconds a turn, idling included"
    simulator, late = report.get("simulator"), report["simulator_late_ms"]
    if simulator and late:
        yield f"simulator: {simulator['cpu_cores']:.2f} cores, ticks late by p99 {late['p99']:.1f} ms"
        if late["p99"] > LATE_MS:
            yield "the simulator itself was late: the machine is too busy, and the times above are too long"
    machine = report.get("machine")
    if machine:
        yield (
            f"{report['date']}, {machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB, "
            f"{machine['system']}"
        )
        yield ", ".join(f"{name} {version}" for name, version in report["versions"].items())

"""The scenarios of `parley bench`, and their figures as lines of text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from engine.simulator.conversation import ConversationResult
from engine.simulator.scenarios.backchannel import MOST_MS, BackchannelScenario
from engine.simulator.scenarios.barge_in import BargeInScenario
from engine.simulator.scenarios.base import Scenario
from engine.simulator.scenarios.pauses import PausesScenario
from engine.simulator.scenarios.questions import QuestionsScenario

Figures = Mapping[str, Any]

_ALL: tuple[Scenario, ...] = (
    QuestionsScenario(),
    BargeInScenario(),
    BackchannelScenario(),
    PausesScenario(),
)
SCENARIOS = {scenario.name: scenario for scenario in _ALL}


def tries(scenario: Scenario, results: Sequence[ConversationResult]) -> dict[str, Any]:
    """What the scenario itself measured, as an entry of the report; nothing for one without rows."""
    rows = [(number, row) for number, result in enumerate(results) for row in scenario.rows(result)]
    if not rows:
        return {}
    return {
        "scenario": {
            "name": scenario.name,
            **scenario.figures([row for _, row in rows]),
            "unmeasured": scenario.unmeasured(all(result.events for result in results)),
            "rows": [{"call": number, **asdict(row)} for number, row in rows],
        }
    }


def render_scenario(report: Figures) -> list[str]:
    """What the scenario of a report measured, with an empty line behind it; nothing for `questions`."""
    if "scenario" not in report:
        return []
    figures = report["scenario"]
    return [*_LINES[figures["name"]](figures), *(f"not measured: {one}" for one in figures["unmeasured"]), ""]


def _barge_in(figures: Figures) -> Iterator[str]:
    over = figures["interruptions"] - figures["in a pause"]
    yield f"barge-in to silence  {_spread(figures['barge_in_to_silence_ms'])}"
    yield f"after an interruption, voice to voice  {_spread(figures['voice_to_voice_ms'])}"
    yield (
        f"the agent stopped {figures['stopped']} times of {over}, spoke again before the caller was done "
        f"{figures['spoke_again']} times; {figures['in a pause']} more fell into a pause of its"
    )
    yield _answered(figures, figures["interruptions"])
    for row in figures["rows"]:
        if row["outcome"] == "played on":
            yield f"  played on: {row['id']} at {row['point']:.2f} of the answer to {row['question']}"


def _backchannel(figures: Figures) -> Iterator[str]:
    yield (
        f"resumed {figures['resumed']} of {figures['over']}, {figures['resumed_in_time']} of them with stops "
        f"below {MOST_MS} ms; held {figures['held']} times; "
        f"{figures['sounds'] - figures['over']} sounds came too late"
    )
    yield f"longest silence around the sound  {_spread(figures['stops_ms'])}"
    texts = {row["id"]: row["text"] for row in figures["rows"]}
    yield f"  {'':<16}{'':<18}{'n':>4}{'held':>6}{'resumed':>9}{'p50':>8}{'p95':>8}{'max':>8}   ms"
    for name, one in figures["recordings"].items():
        stops = one["stops_ms"]
        times = "".join(f"{stops[key]:>8.0f}" for key in ("p50", "p95", "max")) if stops else ""
        yield f"  {name:<16}{texts[name]:<18}{one['over']:>4}{one['held']:>6}{one['resumed']:>9}{times}"
    for row in figures["rows"]:
        if row["heard_as"]:
            yield f"  taken for a turn: {row['id']}, {row['text']!r}, as {row['heard_as']!r}"


def _pauses(figures: Figures) -> Iterator[str]:
    yield (
        f"talked over {figures['talked_over']} of {figures['utterances']} utterances with a pause in them, "
        f"{figures['talk_over_ms']} ms in all"
    )
    yield f"voice to voice  {_spread(figures['voice_to_voice_ms'])}"
    yield _answered(figures, figures["utterances"])
    yield f"  {'pause':<8}{'n':>4}{'talked over':>13}{'answered':>10}{'rightly':>9}"
    for pause_ms, one in figures["pauses"].items():
        if one["utterances"]:
            right = f"{one['right']:>9}" if one["judged"] else ""
            counts = f"{one['utterances']:>4}{one['talked_over']:>13}{one['answered']:>10}{right}"
            yield f"  {pause_ms + ' ms':<8}{counts}"
    for row in figures["rows"]:
        if row["talked_over"]:
            where = f"pause of {row['pause_ms']} ms after {row['at_ms']} ms of speech"
            yield f"  talked over for {row['talk_over_ms']} ms: {row['id']}, {where} ({row['fraction']:.2f})"


_LINES: Mapping[str, Callable[[Figures], Iterator[str]]] = {
    "barge-in": _barge_in,
    "backchannel": _backchannel,
    "pauses": _pauses,
}


def _answered(figures: Figures, asked: int) -> str:
    right = f", rightly {figures['right']} of {figures['judged']}" if figures["judged"] else ""
    return f"answered {figures['answered']} of {asked}{right}"


def _spread(figures: Figures | None) -> str:
    if figures is None:
        return "no values"
    return "p50 {p50:.0f} ms, p95 {p95:.0f} ms, max {max:.0f} ms (n {n:.0f})".format(**figures)

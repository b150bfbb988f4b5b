"""Percentiles, stages, timelines and the report of a run."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.report import (
    call_row,
    render,
    spans,
    stage_times,
    summarise,
    summary_line,
    waterfall,
)
from engine.simulator.analysis import TurnResult
from engine.simulator.carrier import CallIdentity, Violation
from engine.simulator.conversation import ConversationResult
from engine.simulator.events import TurnDone
from engine.simulator.figures import percentile, spread
from engine.simulator.judge import Judgement
from engine.simulator.load import Outcome
from engine.simulator.tape import SILENCE, Frame, Tape

STAMPS = {
    "speech_end": 1_000.0,
    "pause": 1_150.0,
    "transcript": 1_210.0,
    "score": 1_235.0,
    "context": 1_222.0,
    "first_token": 1_300.0,
    "first_audio": 1_340.0,
    "confirmed": 1_380.0,
    "released": 1_382.0,
    "first_byte": 1_386.0,
}


def turn(ms: float | None = 400.0, *, right: bool | None = None, **stamps: float) -> TurnResult:
    result = TurnResult(1, "q", "When?", ms, ms, answer=b"\x00" * 160)
    result.done = [TurnDone(1, stamps=STAMPS | stamps)]
    if right is not None:
        result.judgement = Judgement("eight", () if right else ("9",))
    return result


def outcome(*turns: TurnResult, questions: int | None = None) -> Outcome:
    tape = Tape()
    for n in range(3):
        tape.add(Frame(n * 0.02, SILENCE, False, SILENCE, -1, math.nan))
    result = ConversationResult(CallIdentity(), 0.0, tape, list(turns), [], [], greeting_ms=120.0)
    planned = len(turns) if questions is None else questions
    result.unsaid = planned - len(turns)
    return Outcome(0, planned, result)


@pytest.mark.parametrize(
    ("percent", "value"), [(0, 15), (5, 15), (30, 20), (40, 20), (50, 35), (99, 50), (100, 50)]
)
def test_percentiles_by_nearest_rank(percent: float, value: float) -> None:
    assert percentile([35, 20, 15, 50, 40], percent) == value


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_the_smallest_value_that_covers_its_share(
    values: list[float], percent: float
) -> None:
    found = percentile(values, percent)
    needed = percent / 100 * len(values)
    assert sum(value <= found for value in values) >= needed - 1e-6
    assert found == min(values) or sum(value < found for value in values) < needed + 1e-6


def test_a_spread_of_nothing_is_nothing() -> None:
    assert spread([]) is None
    assert spread([3.0]) == {"n": 1, "p50": 3.0, "p95": 3.0, "p99": 3.0, "max": 3.0}


def test_stages_run_from_what_they_wait_for() -> None:
    assert {name: end - start for name, start, end in spans(STAMPS)} == {
        "pause": 150,
        "transcript": 60,
        "intonation": 85,
        "end of turn": 380,
        "context": 12,
        "first token": 78,
        "first audio": 40,
        "release": 2,
        "first byte": 4,
    }


def test_a_stage_that_did_not_run_is_left_out() -> None:
    without = {name: at for name, at in STAMPS.items() if name not in ("context", "first_token")}
    times = {name: end - start for name, start, end in spans(without)}
    assert times["first audio"] == 130  # straight from the transcript
    assert not {"context", "first token"} & times.keys()
    assert stage_times(TurnResult(1, "q", "")) == {}


def test_the_engine_is_timed_only_when_speculation_was_ready() -> None:
    ready = stage_times(turn(400.0))
    assert (ready["engine"], ready["rest"]) == (6, 20)
    late = stage_times(turn(500.0, first_audio=1_420.0, released=1_421.0, first_byte=1_425.0))
    assert "engine" not in late
    assert late["rest"] == 80


def test_a_waterfall_has_one_scale() -> None:
    lines = waterfall(STAMPS, columns=20)
    assert lines[0] == "pause       |########            |   150 ms, at   150"
    assert lines[-1] == "first byte  |                   #|     4 ms, at   386"
    assert {len(line.split("|")[1]) for line in lines} == {20}
    assert waterfall({}) == []


@given(st.dictionaries(st.sampled_from(sorted(STAMPS)), st.floats(0, 1e12)))
def test_a_waterfall_can_be_drawn_of_any_stamps(stamps: dict[str, float]) -> None:
    assert all(len(line.split("|")[1]) == 40 for line in waterfall(stamps))


def test_questions_without_an_answer_count_against_the_share() -> None:
    answered, not_answered = turn(300.0, right=True), turn(None, right=False)
    failed = Outcome(1, 3, failure="the server took no call (HTTP 503): is it full or still starting?")
    summary = summarise([outcome(answered, not_answered, questions=5), failed])
    assert summary["questions"] == {
        "asked": 8,
        "answered": 1,
        "answered_share": 0.125,
        "judged": 2,
        "right": 1,
        "right_share": 0.5,
    }
    assert summary["voice_to_voice_ms"] == {"n": 1, "p50": 300, "p95": 300, "p99": 300, "max": 300}
    assert summary["calls"]["cut_short"] == 1
    assert summary["calls"]["failed"] == {failed.failure: 1}
    assert summary["stages_ms"]["pause"]["n"] == 2


def test_the_report_is_printed_and_is_json() -> None:
    done = outcome(turn(300.4, right=True), turn(410.0, right=False))
    assert done.result is not None
    done.result.violations = [Violation(0.0, "unknown event 'x'", "{}")]
    report = {
        **summarise([done]),
        "date": "2026-01-01T00:00:00+00:00",
        "server": {
            "cpu_cores": 1.5,
            "memory_start_mib": 100.0,
            "memory_peak_mib": 300.0,
            "memory_end_mib": 200.0,
            "processes": 7,
        },
        "cpu_s_a_turn": 0.5,
        "simulator": {"cpu_cores": 0.1},
        "machine": {"cpu": "Testor 9", "cores": 2, "memory_gib": 8.0, "system": "Linux 6"},
        "versions": {"python": "3.11"},
        "details": [call_row(done)],
    }
    text = "\n".join(render(json.loads(json.dumps(report))))
    assert "voice to voice       2     300     410     410     410" in text
    assert "rightly  1 of 2 (50.0%)" in text
    assert "1 x unknown event 'x'" in text
    assert "server: 1.50 cores, 100/300/200 MiB private at start/peak/end, 7 processes" in text
    assert "Testor 9, 2 cores" in text
    row = report["details"][0]["turns"][0]
    assert (row["right"], row["answered"], "answer" in row) == (True, True, False)


def test_a_run_without_an_answer_can_be_reported() -> None:
    text = "\n".join(render(summarise([outcome(turn(None))])))
    assert "voice to voice" not in text
    assert "answered 0 of 1 (0.0%)" in text


def test_the_summary_line() -> None:
    turns = [turn(ms) for ms in (410.0, 300.0, None, 350.0)]
    assert summary_line(turns) == "voice-to-voice p50 350 ms (p95 410 ms, answered 3 of 4)"
    assert summary_line([turn(None)]) == "voice-to-voice: no generated answer (answered 0 of 1)"


def test_a_fixed_phrase_is_answered_but_is_in_no_latency_figure() -> None:
    phrase, reply = turn(100.0), turn(900.0)
    phrase.kinds, reply.kinds = ["unknown"], ["filler", "reply"]
    summary = summarise([outcome(phrase, reply)])
    assert summary["questions"]["answered"] == 2
    assert summary["voice_to_voice_ms"] == {"n": 1, "p50": 900, "p95": 900, "p99": 900, "max": 900}
    assert summary["fixed_phrases_ms"]["max"] == 100
    assert summary_line([phrase, reply]) == (
        "voice-to-voice p50 900 ms (p95 900 ms, answered 2 of 2, 1 by a fixed phrase)"
    )

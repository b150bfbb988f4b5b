"""`parley call` and `parley bench` against a small answering agent, twenty times faster than life."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.audio.wav import read_wav, write_wav
from engine.cli import bench as bench_command
from engine.cli import call as call_command
from engine.cli import parley as parley_group
from engine.config import Settings
from engine.errors import UsageError
from engine.providers.base import Transcript
from engine.simulator import recordings
from engine.simulator.analysis import Utterance
from engine.simulator.caller import Clock, Line
from engine.simulator.carrier import CallIdentity
from engine.simulator.load import Load
from engine.simulator.scenarios import questions
from engine.telephony.tokens import verify
from tests.unit.simulator_agent import Agent, event, reply, serving, tone

FAST = Clock(speed=20)
STAMPS = {"speech_end": 1_000.0, "pause": 1_150.0}
GREETING = reply(0, 100, "Hello.", "greeting")


class Ear:
    def transcribe(self, audio: bytes, language: str = "en") -> Transcript:
        return Transcript("Nine.")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_command, "Line", partial(Line, clock=FAST))
    monkeypatch.setattr(bench_command, "Load", partial(Load, clock=FAST))
    monkeypatch.setattr(call_command, "_whisper", Ear)


def parley(*arguments: object) -> Result:
    return CliRunner().invoke(parley_group, [str(argument) for argument in arguments])


def answer(turn: int) -> list[dict[str, object]]:
    done = event("turn", turn=turn, user="when", kind="reply", stamps=STAMPS)
    return [event("user", turn=turn, text="when"), *reply(turn), done]


def test_a_call_is_shown_and_kept(tmp_path: Path) -> None:
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    write_wav(first, tone(300), 16_000)
    recordings.write_ulaw_wav(second, b"\x00\x80" * 800)
    out, file = tmp_path / "out", tmp_path / "result.json"
    with serving(Agent(GREETING, [answer(1), answer(2)])) as url:
        run = parley("call", "--wav", first, second, "--url", url, "--out", out, "--json", file)
    assert run.exit_code == 0, run.output
    assert [line for line in run.output.splitlines() if line.startswith(("caller", "agent"))] == [
        "agent   Hello.  (greeting)",
        "caller  when",
        "agent   Eight.",
        "caller  when",
        "agent   Eight.",
    ]
    assert "pause       |####" in run.output
    assert run.output.splitlines()[-1].startswith("voice-to-voice p50 ")
    stereo = read_wav(out / "call.wav")
    assert (stereo.hz, stereo.pcm.shape[1]) == (8_000, 2)
    kept = json.loads(file.read_text())
    assert [turn["id"] for turn in kept["turns"]] == ["first", "second"]
    assert [turn["answered"] for turn in kept["turns"]] == [True, True]
    assert json.loads((out / "call.json").read_text())["events"]


def test_a_broken_protocol_fails_the_call(tmp_path: Path) -> None:
    write_wav(tmp_path / "q.wav", tone(200), 8_000)
    with serving(Agent([*GREETING, {"event": "nonsense"}], [answer(1)])) as url:
        run = parley("call", "--wav", tmp_path / "q.wav", "--url", url)
    assert run.exit_code == 1
    assert "broke the carrier's protocol: unknown event 'nonsense'" in run.output


def test_no_server_is_one_line(tmp_path: Path) -> None:
    write_wav(tmp_path / "q.wav", tone(200), 8_000)
    with serving(Agent()) as url:
        pass
    run = parley("call", "--wav", tmp_path / "q.wav", "--url", url)
    assert run.exit_code == 1
    assert run.output.startswith("parley: error: nothing answers at ws://127.0.0.1:")


@pytest.mark.parametrize("content", [b"", b"ID3 not a wav"])
def test_a_file_that_is_no_recording(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "q.wav").write_bytes(content)
    with pytest.raises(UsageError, match=r"q\.wav"):
        call_command.from_wav(tmp_path / "q.wav")


def test_a_bench_is_printed_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    question = Utterance("q", tone(200), "When?", (("9",),))
    monkeypatch.setattr(questions, "recorded_questions", lambda of: [question])
    file = tmp_path / "bench.json"
    with serving(Agent(GREETING, [answer(1), answer(2)])) as url:
        run = parley("bench", "--calls", 1, "--rounds", 2, "--url", url, "--json", file)
    assert run.exit_code == 0, run.output
    assert "answered 2 of 2 (100.0%)" in run.output
    assert "rightly  2 of 2 (100.0%)" in run.output
    report = json.loads(file.read_text())
    assert report["voice_to_voice_ms"]["n"] == 2
    assert report["stages_ms"]["pause"]["p50"] == 150
    assert len(report["details"][0]["turns"]) == 2
    assert report["server"] is None
    assert {"date", "machine", "versions", "simulator"} <= report.keys()


def test_a_bench_without_a_server_is_one_line() -> None:
    with serving(Agent()) as url:
        pass
    run = parley("bench", "--url", url, "--rounds", 1)
    assert run.exit_code == 1
    assert "no call could be placed: nothing answers at" in run.output


def test_a_running_server_is_called_where_it_says_that_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Settings(data_dir=tmp_path, port=8123)
    monkeypatch.setattr(call_command, "settings", lambda: config)
    identity = CallIdentity()
    url = call_command.url_for(identity)
    assert url.startswith("ws://127.0.0.1:8123/media/")
    claims = verify(url.rpartition("/")[2], config.signing_secret())
    assert (claims.call_id, claims.events) == (identity.call_sid, True)
    (tmp_path / "server.json").write_text(json.dumps({"pid": os.getpid(), "url": "http://127.0.0.1:9000"}))
    assert call_command.url_for(identity).startswith("ws://127.0.0.1:9000/media/")
    assert call_command.url_for(identity, base_url="https://a.b").startswith("wss://a.b/media/")


def test_the_bundled_questions_have_facts() -> None:
    heldout = questions.recorded_questions("heldout")
    assert len(heldout) >= 50
    assert all(question.expected and len(question.pcm) for question in heldout)

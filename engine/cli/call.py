"""`parley call`: one simulated call to a running server, shown as it happens and kept as WAV and JSON.

`print_event`, `print_turn` and `write_outputs` also serve `parley demo`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from engine.api.backend import DEMO_AGENT, DEMO_COMPANY
from engine.audio import g711
from engine.audio.resample import resample
from engine.audio.wav import read_wav, write_wav
from engine.cli.output import console, print_error, styled
from engine.cli.report import call_row, summary_line, waterfall
from engine.config import settings
from engine.errors import UsageError
from engine.simulator import recordings
from engine.simulator.analysis import TurnResult, Utterance
from engine.simulator.caller import Line
from engine.simulator.carrier import CallIdentity
from engine.simulator.conversation import ConversationResult, run_conversation
from engine.simulator.events import AgentPiece, CallEnded, Event, Heard, UserTurn
from engine.simulator.judge import Decoder, judge
from engine.simulator.load import Outcome
from engine.simulator.scenarios.questions import recorded_questions
from engine.simulator.usage import running_server
from engine.telephony.tokens import MediaClaims, local_url, media_url

RATE_HZ = 8_000
JUDGE_WEIGHTS = "whisper-tiny.en"


@click.command()
@click.option(
    "--wav",
    "wavs",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A question, PCM16 WAV at any rate; more may follow it.",
)
@click.argument("more", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--url", help="WebSocket URL to call; by default a fresh one of the server on this machine.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the result to this file.")
@click.option("--out", type=click.Path(path_type=Path), help="Write call.wav (stereo) and call.json here.")
def call(
    wavs: tuple[Path, ...], more: tuple[Path, ...], url: str | None, json_file: Path | None, out: Path | None
) -> None:
    """Call an agent and ask it what is in the WAV files, or else the bundled demo questions.

    Prints the conversation as it happens, then the timeline of each turn.
    """
    paths = (*wavs, *more)
    script = [from_wav(path) for path in paths] or recorded_questions("demo")
    identity = CallIdentity()
    url = url or url_for(identity)
    result = asyncio.run(run_conversation(url, script, print_event, line=Line(identity)))
    judge_turns(result.turns, script)
    for turn in result.turns:
        print_turn(turn)
    click.echo(summary_line(result.turns))
    if out is not None:
        write_outputs(result, out)
    if json_file is not None:
        write_json(json_file, call_row(Outcome(0, len(script), result)))
    fail_on_violations(result)


def from_wav(path: Path) -> Utterance:
    """A WAV file's first channel as an utterance; raises UsageError if it is neither PCM16 nor mu-law."""
    try:
        pcm = g711.ulaw_to_pcm(recordings.read_ulaw_wav(path))
    except UsageError:
        wav = read_wav(path)
        pcm = resample(wav.pcm if wav.pcm.ndim == 1 else wav.pcm[:, 0], wav.hz, RATE_HZ)
    if not len(pcm):
        raise UsageError(f"{path} holds no audio")
    return Utterance(path.stem, pcm)


def url_for(identity: CallIdentity, *, base_url: str | None = None) -> str:
    """A fresh media URL of the server for the demo agent, with events, for the call of that identity."""
    config = settings()
    server = running_server(config.data_dir)
    base_url = base_url or (server.url if server else local_url(config))
    claims = MediaClaims(DEMO_COMPANY, DEMO_AGENT, identity.call_sid, events=True)
    return media_url(config, claims, base_url=base_url)


def judge_turns(
    turns: Sequence[TurnResult], script: Sequence[Utterance], decoder: Decoder | None = None
) -> None:
    """Set `judgement` on each turn whose question has expected facts; loads the local Whisper if need be.

    Raises WeightsError if that is not there.
    """
    expected = {utterance.id: utterance.expected for utterance in script if utterance.expected}
    judged = [turn for turn in turns if turn.id in expected]
    if judged and decoder is None:
        decoder = _whisper()
    for turn in judged:
        assert decoder is not None
        turn.judgement = judge(turn.answer, expected[turn.id], decoder)


def _whisper() -> Decoder:
    from engine import weights
    from engine.providers.stt.whisper import WhisperDecoder

    return WhisperDecoder.load(weights.folder(JUDGE_WEIGHTS))


def print_event(event: Event) -> None:
    """One line for what somebody says, while the call goes on."""
    match event:
        case UserTurn(_, text):
            click.echo(f"{styled('caller', fg='cyan')}  {text}")
        case AgentPiece(text=text, kind=kind):
            note = "" if kind == "reply" else f"  ({kind})"
            click.echo(f"{styled('agent', fg='green')}   {text}{note}")
        case Heard(_, text, True):
            click.echo(f"        interrupted; heard up to: {text}")
        case CallEnded(reason):
            click.echo(f"        call ended: {reason}")


def print_turn(turn: TurnResult) -> None:
    """A turn's timeline: question, answer, verdict, and a waterfall of its stages."""
    terminal = console().is_terminal
    click.echo()
    click.echo(f"turn {turn.number}: {turn.text or turn.heard_as or turn.id}")
    if turn.voice_to_voice_ms is None:
        click.echo("  no answer")
    else:
        click.echo(f"  voice to voice {turn.voice_to_voice_ms:.0f} ms: {turn.reply}")
    if turn.judgement is not None:
        missing = ", ".join(turn.judgement.missing)
        verdict = "right" if turn.judgement.right else f"wrong, without: {missing}"
        click.echo(f"  {verdict}; the judge heard: {turn.judgement.text or '(nothing)'}")
    if turn.talk_over_ms or turn.gaps:
        click.echo(f"  both spoke for {turn.talk_over_ms} ms; speech broke off {turn.gaps} times")
    for done in turn.done[-1:]:
        for line in waterfall(done.stamps, bar="█" if terminal else "#"):
            click.echo(f"  {line}")


def write_outputs(result: ConversationResult, out_dir: Path, *, name: str = "call") -> None:
    """`call.wav` (stereo, caller left, agent right as played out) and `call.json` in `out_dir`."""
    _make_folder(out_dir)
    write_wav(out_dir / f"{name}.wav", result.tape.stereo(), RATE_HZ)
    row = call_row(Outcome(0, len(result.turns) + result.unsaid, result))
    row["events"] = [
        {
            "at_ms": round((one.at - result.tape.at(0)) * 1000, 1),
            "event": type(one.event).__name__,
            **asdict(one.event),
        }
        for one in result.events
    ]
    write_json(out_dir / f"{name}.json", row)


def write_json(path: Path, value: object) -> None:
    """Raises UsageError where the file cannot be written."""
    _make_folder(path.parent)
    try:
        path.write_text(json.dumps(value, indent=2) + "\n")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {path}: {error.strerror}") from error


def fail_on_violations(*results: ConversationResult) -> None:
    """Exit status 1 with a line for each message that a carrier would have refused."""
    violations = [violation for result in results for violation in result.violations]
    for violation in violations:
        print_error(f"the server broke the carrier's protocol: {violation.rule}: {violation.message}")
    if violations:
        click.get_current_context().exit(1)

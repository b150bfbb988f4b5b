"""`parley demo`: start the whole server, place one simulated call, judge the answers, stop everything."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from engine.cli import call as calling
from engine.cli.report import summary_line
from engine.cli.serve import CONFIG, check_before_start, start_with_progress
from engine.cli.server_process import ServerProcess
from engine.config import settings
from engine.errors import ParleyError
from engine.simulator.analysis import Utterance
from engine.simulator.caller import Line
from engine.simulator.carrier import CallIdentity
from engine.simulator.conversation import run_conversation
from engine.simulator.scenarios.questions import recorded_questions


class DemoFailed(ParleyError):
    """The call was placed and not every answer was right."""


@click.command()
@click.option("--knowledge", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None,
              help="Answer from this text instead of the clinic's.")  # fmt: skip
@click.option("--wav", "wavs", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Ask this instead of the bundled questions; repeatable.")  # fmt: skip
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("out"), help="Where call.wav and call.json go."
)
@click.option("--config", type=click.Path(path_type=Path), default=CONFIG)
def demo(knowledge: Path | None, wavs: tuple[Path, ...], out: Path, config: Path) -> None:
    """One whole call on this machine: real models, the real WebSocket, spoken questions.

    Exit status 0 only when the agent's audio, transcribed back, holds the right facts. With another text the
    right facts are not known: then every question must be answered, if only by saying that it is not known.
    """
    check_before_start(settings(), config)
    script = [calling.from_wav(path) for path in wavs] or recorded_questions("demo")
    if knowledge is not None:
        script = [Utterance(one.id, one.pcm, one.text) for one in script]
    process = ServerProcess(settings(), config=config, knowledge=knowledge)
    try:
        start_with_progress(process)
        _converse(script, out)
    finally:
        process.stop()


def _converse(script: list[Utterance], out: Path) -> None:
    identity = CallIdentity()
    url = calling.url_for(identity)
    result = asyncio.run(run_conversation(url, script, calling.print_event, line=Line(identity)))
    calling.judge_turns(result.turns, script)
    for turn in result.turns:
        calling.print_turn(turn)
    calling.write_outputs(result, out)
    click.echo(f"\nthe call is in {out / 'call.wav'} and {out / 'call.json'}")
    click.echo(summary_line(result.turns))
    calling.fail_on_violations(result)
    wrong = [turn.id for turn in result.turns if turn.judgement is not None and not turn.judgement.right]
    silent = [turn.id for turn in result.turns if not turn.answered]
    if wrong or silent or result.unsaid:
        parts = ["wrong: " + ", ".join(wrong)] if wrong else []
        parts += ["not answered: " + ", ".join(silent)] if silent else []
        parts += (
            [f"{result.unsaid} questions not asked: {result.ended or 'the call ended'}"]
            if result.unsaid
            else []
        )
        raise DemoFailed("; ".join(parts))

"""`parley calls`: what was said on the telephone, and what is being said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from engine.cli.asking import Asking, asks_company, local_time, say
from engine.cli.output import emit_json, print_table, printable, styled

if TYPE_CHECKING:
    from models import CallRecord
    from models.platform import CallDetail, TurnDetail


@click.group()
def calls() -> None:
    """Calls of a company."""


@calls.command("list")
@click.option("--agent", metavar="ID", help="Only calls that this agent answered.")
@click.option("--status", type=click.Choice(["live", "ended"]), help="Only calls that go on, or that ended.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Calls at most.")
@asks_company
def list_calls(asking: Asking, agent: str | None, status: str | None, limit: int) -> None:
    """List the calls, newest first."""
    from models import CallRecord

    where = {name: value for name, value in (("agent_id", agent), ("status", status)) if value}
    found = list(asking.api.pages(asking.path("calls"), CallRecord, where, limit))
    asking.show(found, lambda: _draw(found))


@calls.command("show")
@click.argument("call_id")
@asks_company
def show(asking: Asking, call_id: str) -> None:
    """Show a call and its turns."""
    from models.platform import CallDetail

    found = asking.api.ask("GET", asking.path("calls", call_id), CallDetail)
    asking.show(found, lambda: _draw_detail(found))


@calls.command("transcript")
@click.argument("call_id")
@click.option(
    "--format", "form", type=click.Choice(["txt", "vtt", "json"]), default="txt", show_default=True,
    help="Text, WebVTT subtitles, or JSON with times.",
)  # fmt: skip
@asks_company
def transcript(asking: Asking, call_id: str, form: str) -> None:
    """Print what was said and, of the agent, heard."""
    from models.platform import Transcript

    where = asking.path("calls", call_id, "transcript")
    if asking.as_json or form == "json":
        emit_json(asking.api.ask("GET", where, Transcript).model_dump(mode="json"))
    else:
        text = asking.api.read("GET", where, params={"format": form}).decode(errors="replace")
        click.echo(printable(text), nl=False)


@calls.command("follow")
@click.argument("call_id")
@asks_company
def follow(asking: Asking, call_id: str) -> None:
    """Show what is said in a call while it goes on, from its beginning; --json: an object a line."""
    from engine.cli.following import Screen, events, json_line

    screen = Screen()
    for event in events(asking.api, asking.path("calls", call_id, "events")):
        lines = [json_line(event)] if asking.as_json else screen.lines(event)
        for line in lines:
            click.echo(line)


@calls.command("end")
@click.argument("call_id")
@asks_company
def end(asking: Asking, call_id: str) -> None:
    """Have the agent of a live call say goodbye and hang up."""
    from models import CallRecord

    found = asking.api.ask("POST", asking.path("calls", call_id, "end"), CallRecord)
    asking.show(found, lambda: say(f"{found.call_id}: the agent says goodbye and hangs up"))


def _draw(found: Sequence[CallRecord]) -> None:
    print_table(
        ("call", "began", "agent", "caller", "called", "lasted", "turns", "status"),
        [
            (
                one.call_id,
                local_time(one.started_at),
                one.agent_id,
                one.caller,
                one.called,
                _lasted(one),
                str(one.turns),
                _status(one),
            )
            for one in found
        ],
    )


def _draw_detail(found: CallDetail) -> None:
    call = found.call
    say(f"{call.call_id}: {_status(call)}")
    say(f"began {local_time(call.started_at)}, lasted {_lasted(call) or '(goes on)'}")
    say(f"{call.caller or 'unknown'} called {call.called or 'unknown'}; agent {call.agent_id}")
    for turn in found.turns:
        for line in _turn_lines(turn):
            click.echo(line)


def _turn_lines(turn: TurnDetail) -> Iterator[str]:
    yield ""
    if turn.caller:
        yield f"{styled('caller', fg='cyan')}  {printable(turn.caller)}"
    if turn.agent or turn.said:
        notes = [turn.kind] if turn.kind not in ("", "reply") else []
        if {"first_byte", "speech_end"} <= turn.stamps_ms.keys():
            notes.append(f"{turn.stamps_ms['first_byte'] - turn.stamps_ms['speech_end']:.0f} ms")
        if turn.interrupted:
            notes.append("interrupted")
        note = f"  ({', '.join(notes)})" if notes else ""
        yield f"{styled('agent', fg='green')}   {printable(turn.agent or '(nothing was heard)')}{note}"


def _status(call: CallRecord) -> str:
    return f"{call.status}: {call.end_reason}" if call.end_reason else call.status


def _lasted(call: CallRecord) -> str:
    """`3:07`, or nothing for a call that goes on."""
    if call.duration_ms is None:
        return ""
    minutes, seconds = divmod(round(call.duration_ms / 1000), 60)
    return f"{minutes}:{seconds:02}"

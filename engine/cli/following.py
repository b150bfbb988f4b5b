"""A call while it goes on: server-sent events, taken up again where they broke off, as lines to read."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2

from engine.cli.api_errors import ApiError, NoAnswer, network_errors
from engine.cli.api_session import ApiSession
from engine.cli.output import printable, styled
from engine.errors import UsageError

RETRY_S = 1.0
TRIES = 5
"""In vain, one after another; whatever the server tells begins the count anew."""
_SILENCE = httpx2.Timeout(60.0, connect=5.0)
"""The server says every 15 s that the stream lives."""


@dataclass(frozen=True, slots=True)
class Told:
    """One line of a call's journal. `at_ms`: Unix time."""

    seq: int
    kind: str
    at_ms: float
    data: dict[str, Any]


def events(api: ApiSession, path: str) -> Iterator[Told]:
    """The events of a call from its beginning until `call_ended`. Raises UsageError.

    A stream that breaks off is asked for again behind the last event that came.
    """
    seen, vain = -1, 0
    while True:
        before = seen
        try:
            for event in _stream(api, path, seen):
                seen = event.seq
                yield event
                if event.kind == "call_ended":
                    return
            why: UsageError = UsageError("the server ends the stream, but the call is not over")
        except (NoAnswer, ApiError) as error:
            if (seen < 0 and not vain) or not _may_pass(error):
                raise
            why = error
        vain = 0 if seen > before else vain + 1
        if vain >= TRIES:
            raise why
        time.sleep(max(RETRY_S, why.retry_after_s if isinstance(why, ApiError) else 0.0))


def _may_pass(error: UsageError) -> bool:
    return isinstance(error, NoAnswer) or (
        isinstance(error, ApiError) and (error.status == 429 or error.status >= 500)
    )


def _stream(api: ApiSession, path: str, after: int) -> Iterator[Told]:
    headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after >= 0 else {})
    with (
        api.answer("GET", path, headers=headers, timeout=_SILENCE) as response,
        network_errors(api.server),
    ):
        for event in httpx2.EventSource(response):
            yield _told(event)


def _told(event: httpx2.ServerSentEvent) -> Told:
    try:
        data = json.loads(event.data)
        return Told(int(event.id), event.event, float(data.pop("at_ms")), data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NoAnswer(f"an event of the stream cannot be read: {event.data[:80]}") from error


def json_line(event: Told) -> str:
    return json.dumps({"seq": event.seq, "event": event.kind, "at_ms": event.at_ms} | event.data)


@dataclass(slots=True)
class Screen:
    """What a person reads of a call: who said what, and how long after its beginning."""

    _began_ms: float | None = None
    _spoken: set[Any] = field(default_factory=set)
    """Turns of which a piece was released: what was heard of them needs no line of its own."""

    def lines(self, event: Told) -> Iterator[str]:
        if self._began_ms is None:
            self._began_ms = event.at_ms
        text = self._text(event)
        if text:
            seconds = max(0, round((event.at_ms - self._began_ms) / 1000))
            yield f"{styled(f'{seconds // 60}:{seconds % 60:02}', dim=True)}  {text}"

    def _text(self, event: Told) -> str:
        said = printable(" ".join(str(event.data.get("text", "")).split()))
        turn = event.data.get("turn")
        match event.kind:
            case "call_started":
                caller, called = (event.data.get(name) or "unknown" for name in ("caller", "called"))
                return printable(f"{caller} called {called}; agent {event.data.get('agent_id', '')}")
            case "turn_ended":
                return f"{styled('caller', fg='cyan')}  {said}"
            case "reply_released":
                self._spoken.add(turn)
                return f"{styled('agent', fg='green')}   {said}{_kind(event)}"
            case "heard" if event.data.get("interrupted"):
                return f"        interrupted; heard up to: {said or '(nothing)'}"
            case "heard" if turn not in self._spoken:
                return f"{styled('agent', fg='green')}   {said}{_kind(event)}"
            case "attached":
                return printable(f"        the call goes on elsewhere: {event.data.get('reason', '')}")
            case "call_ended":
                return printable(f"call ended: {event.data.get('reason', '')}")
        return ""


def _kind(event: Told) -> str:
    kind = event.data.get("kind", "")
    return "" if kind in ("", "reply") else printable(f"  ({kind})")

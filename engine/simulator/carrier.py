"""The carrier's end of a Twilio Media Streams WebSocket: bytes and JSON, no I/O, no clock of its own.

What the server sends goes into `receive`; every 20 ms the owner calls `play` for what the telephone would
sound and sends what it returns. Marks are echoed once the audio before them has been played, or at once when
the server clears the buffer, in the order in which they were set. A message that Twilio would refuse is not
obeyed: it is kept as a `Violation`.

Wire format: https://www.twilio.com/docs/voice/media-streams/websocket-messages
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeAlias

from engine.errors import ProtocolError
from engine.simulator.events import AgentPiece, Event, MoreAudio, parse_event
from engine.simulator.tape import FRAME_BYTES, SILENCE

DIGITS = frozenset("0123456789*#")
_EXCERPT_CHARS = 120


@dataclass(frozen=True, slots=True)
class CallIdentity:
    """The ids that a carrier gives to a call. A stream that reconnects keeps its `call_sid`."""

    call_sid: str = field(default_factory=lambda: "CA" + secrets.token_hex(16))
    stream_sid: str = field(default_factory=lambda: "MZ" + secrets.token_hex(16))
    account_sid: str = field(default_factory=lambda: "AC" + secrets.token_hex(16))
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Violation:
    """A message that the carrier's protocol does not allow."""

    at: float
    rule: str
    message: str
    """The beginning of the message."""


@dataclass(frozen=True, slots=True)
class Received:
    """An in-band event, when it came, and how many bytes of audio had come before it."""

    at: float
    position: int
    event: Event


class Played(NamedTuple):
    """One frame as the telephone sounds it, and what to send to the server first."""

    frame: bytes
    position: int
    """Place of its first byte among all bytes received; -1 when there was nothing to play."""
    received_at: float
    """When that byte came; NaN when there was nothing to play."""
    messages: list[str]


@dataclass(frozen=True, slots=True)
class Cleared:
    """A clear: how many events had come before it, how many bytes of audio, and when it came."""

    events: int
    position: int
    at: float = math.nan


MarkLoss: TypeAlias = Callable[[int], bool]
"""Whether the echo of a mark gets lost; its number counts all marks that became due, from 0."""


def no_loss(number: int) -> bool:
    """Every mark comes back."""
    return False


class _Chunk(NamedTuple):
    end: int
    at: float


class Carrier:
    """One stream: everything that is sent on it and what is done with everything that is received.

    `loses` makes it a carrier that does not return all marks: `lambda _: True` returns none.
    """

    def __init__(self, identity: CallIdentity | None = None, loses: MarkLoss = no_loss) -> None:
        self._loses = loses
        self._due_marks = 0
        self.identity = identity or CallIdentity()
        self.violations: list[Violation] = []
        self.events: list[Received] = []
        self.cleared: list[Cleared] = []
        self.received_bytes = 0
        self._buffer = bytearray()
        self._chunks: deque[_Chunk] = deque()
        self._marks: deque[tuple[int, str]] = deque()
        self._sequence = 0
        self._chunk = 0

    @property
    def buffered_ms(self) -> float:
        """How much audio waits to be played."""
        return len(self._buffer) / 8

    def opening(self) -> list[str]:
        """What a carrier says first: connected, start."""
        identity = self.identity
        start = {
            "accountSid": identity.account_sid,
            "streamSid": identity.stream_sid,
            "callSid": identity.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": dict(identity.parameters),
        }
        connected = json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        return [connected, self._message("start", start)]

    def media(self, frame: bytes) -> str:
        """The message that carries one mu-law frame of the caller."""
        timestamp = self._chunk * 20
        self._chunk += 1
        payload = base64.b64encode(frame).decode("ascii")
        body = {
            "track": "inbound",
            "chunk": str(self._chunk),
            "timestamp": str(timestamp),
            "payload": payload,
        }
        return self._message("media", body)

    def dtmf(self, digit: str) -> str:
        """The message for a pressed key; raises ProtocolError for one that a telephone does not have."""
        if digit not in DIGITS:
            raise ProtocolError(f"a telephone has no key {digit!r}: press one of 0 to 9, * or #")
        return self._message("dtmf", {"track": "inbound_track", "digit": digit})

    def stop(self) -> str:
        identity = self.identity
        return self._message("stop", {"accountSid": identity.account_sid, "callSid": identity.call_sid})

    def receive(self, message: str | bytes, at: float) -> list[str]:
        """Take one message of the server's; returns what to send back at once (marks, after a clear)."""
        try:
            return self._obey(self._parse(message), at)
        except ProtocolError as error:
            excerpt = message if isinstance(message, str) else repr(message[:_EXCERPT_CHARS])
            self.violations.append(Violation(at, str(error), excerpt[:_EXCERPT_CHARS]))
            return []

    def play(self) -> Played:
        """Sound the next 20 ms; marks whose audio is over by now are echoed."""
        messages = [self._mark(name) for name in self._due(self.received_bytes - len(self._buffer))]
        if not self._buffer:
            return Played(SILENCE, -1, math.nan, messages)
        position = self.received_bytes - len(self._buffer)
        while self._chunks[0].end <= position:
            self._chunks.popleft()
        frame = bytes(self._buffer[:FRAME_BYTES])
        del self._buffer[:FRAME_BYTES]
        return Played(frame.ljust(FRAME_BYTES, b"\xff"), position, self._chunks[0].at, messages)

    def _parse(self, message: str | bytes) -> dict[str, Any]:
        if isinstance(message, bytes):
            raise ProtocolError("binary message: Media Streams are JSON text")
        try:
            body = json.loads(message)
        except ValueError as error:
            raise ProtocolError("not JSON") from error
        if not isinstance(body, dict):
            raise ProtocolError("not a JSON object")
        if "streamSid" not in body:
            raise ProtocolError("streamSid is missing")
        if body["streamSid"] != self.identity.stream_sid:
            raise ProtocolError("streamSid is not this stream's")
        return body

    def _obey(self, body: dict[str, Any], at: float) -> list[str]:
        match body.get("event"):
            case "media":
                self._enqueue(_audio(body), at)
            case "mark":
                name = _inner(body, "mark").get("name")
                if not isinstance(name, str) or not name:
                    raise ProtocolError("mark without a name")
                self._marks.append((self.received_bytes, name))
            case "clear":
                self.cleared.append(Cleared(len(self.events), self.received_bytes, at))
                self._buffer.clear()
                self._chunks.clear()
                return [self._mark(name) for name in self._due(self.received_bytes)]
            case "parley":
                self._note(Received(at, self.received_bytes, parse_event(_inner(body, "parley"))))
            case unknown:
                raise ProtocolError(f"unknown event {unknown!r}")
        return []

    def _note(self, received: Received) -> None:
        """An event; more audio of a piece counts with the piece."""
        more = received.event
        if not isinstance(more, MoreAudio):
            self.events.append(received)
            return
        for index, earlier in reversed(list(enumerate(self.events))):
            if isinstance(earlier.event, AgentPiece) and more.belongs_to(earlier.event):
                self.events[index] = replace(earlier, event=more.added_to(earlier.event))
                return
        self.events.append(received)  # of a piece that was released on another socket of this call

    def _enqueue(self, audio: bytes, at: float) -> None:
        self.received_bytes += len(audio)
        self._buffer += audio
        self._chunks.append(_Chunk(self.received_bytes, at))

    def _due(self, played: int) -> list[str]:
        due = []
        while self._marks and self._marks[0][0] <= played:
            name = self._marks.popleft()[1]
            if not self._loses(self._due_marks):
                due.append(name)
            self._due_marks += 1
        return due

    def _mark(self, name: str) -> str:
        return self._message("mark", {"name": name})

    def _message(self, event: str, body: dict[str, Any]) -> str:
        self._sequence += 1
        stream_sid = self.identity.stream_sid
        return json.dumps(
            {"event": event, "sequenceNumber": str(self._sequence), "streamSid": stream_sid, event: body}
        )


def _inner(body: dict[str, Any], event: str) -> dict[str, Any]:
    inner = body.get(event)
    if not isinstance(inner, dict):
        raise ProtocolError(f"{event} without a '{event}' object")
    return inner


def _audio(body: dict[str, Any]) -> bytes:
    payload = _inner(body, "media").get("payload")
    if not isinstance(payload, str) or not payload:
        raise ProtocolError("media without a payload")
    try:
        audio = base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("payload is not base64") from error
    if audio[:4] == b"RIFF" or audio[:4] == b".snd":
        raise ProtocolError("payload begins with a file header: Twilio takes bare mu-law")
    return audio

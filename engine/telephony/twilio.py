"""Twilio Media Streams, bidirectional (`<Connect><Stream>`): JSON text <-> events and commands. Sans-I/O.

    connected -> start -> (media | dtmf | mark)* -> stop

Numbers travel as strings. Events that Twilio may add later are counted and ignored; anything that breaks the
protocol raises ProtocolError with one line, never another exception, and leaves the stream unusable.
"""

from __future__ import annotations

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import ProtocolError
from engine.telephony.events import (
    CarrierCommand,
    CarrierEvent,
    Digit,
    MarkPlayed,
    Media,
    SendClear,
    SendEvent,
    SendMark,
    SendMedia,
    Started,
    Stopped,
)

MAX_MESSAGE_CHARS = 64 * 1024
MAX_PAYLOAD_BYTES = 8_000
MAX_LOST_SAMPLES = 30 * 8_000
MAX_ID_CHARS = 128
MAX_PARAMETERS = 50
MAX_PARAMETER_CHARS = 1_000
DIGITS = frozenset("0123456789*#ABCD")
_MAX_NUMBER_CHARS = 18


class TwilioStream:
    """One media socket, from its first message to its last; not to be used for a second one.

    `ignored` counts unknown events, `dropped` media frames that came late, twice or after the stop.
    """

    def __init__(self) -> None:
        self.stream_id = ""
        self.call_id = ""
        self.stopped = False
        self.ignored = 0
        self.dropped = 0
        self._chunk: int | None = None
        self._position = 0
        self._delivered = 0
        self._frame_samples = 0
        self._media_head = ""
        self._handlers: Mapping[str, Callable[[dict[str, Any]], list[CarrierEvent]]] = {
            "media": self._media,
            "mark": self._mark,
            "dtmf": self._dtmf,
            "start": self._start,
            "stop": self._stop,
            "connected": self._connected,
        }

    def receive(self, text: str | bytes) -> list[CarrierEvent]:
        """The events in one WebSocket message (`bytes` for a binary one, which Twilio never sends).

        Raises ProtocolError.
        """
        if not isinstance(text, str):
            raise ProtocolError("Twilio sent a binary frame; media streams are JSON text")
        if len(text) > MAX_MESSAGE_CHARS:
            raise ProtocolError(f"Twilio message of {len(text)} characters; the limit is {MAX_MESSAGE_CHARS}")
        try:
            message = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ProtocolError("Twilio message is not valid JSON") from error
        if type(message) is not dict:
            raise ProtocolError("Twilio message is not a JSON object")
        event = message.get("event")
        if type(event) is not str:
            raise ProtocolError("Twilio message has no event name")
        handler = self._handlers.get(event)
        if handler is None:
            self.ignored += 1
            return []
        return handler(message)

    def send(self, command: CarrierCommand) -> str:
        """The text of one message. Raises ProtocolError before the carrier's start message."""
        if not self.stream_id:
            raise ProtocolError("nothing can be sent to Twilio before its start message")
        match command:
            case SendMedia(ulaw):
                return f'{self._media_head}{b2a_base64(ulaw, newline=False).decode("ascii")}"}}}}'
            case SendMark(name):
                body: dict[str, Any] = {"event": "mark", "streamSid": self.stream_id, "mark": {"name": name}}
            case SendClear():
                body = {"event": "clear", "streamSid": self.stream_id}
            case SendEvent(event):
                body = {"event": "parley", "streamSid": self.stream_id, "parley": dict(event)}
        return json.dumps(body, separators=(",", ":"))

    def _connected(self, message: dict[str, Any]) -> list[CarrierEvent]:
        return []

    def _start(self, message: dict[str, Any]) -> list[CarrierEvent]:
        if self.stream_id:
            raise ProtocolError("Twilio sent a second start message")
        start = _object(message, "start")
        _check_format(_object(start, "mediaFormat"))
        stream_id = _identifier(start if "streamSid" in start else message, "streamSid")
        self.call_id = _identifier(start, "callSid")
        parameters = _parameters(start.get("customParameters"))
        self.stream_id = stream_id
        self._media_head = f'{{"event":"media","streamSid":{json.dumps(stream_id)},"media":{{"payload":"'
        return [Started(self.call_id, stream_id, parameters.get("caller", ""), parameters)]

    def _media(self, message: dict[str, Any]) -> list[CarrierEvent]:
        if not self._running(message, "media"):
            self.dropped += 1
            return []
        media = _object(message, "media")
        if media.get("track", "inbound") != "inbound":
            self.ignored += 1
            return []
        chunk = _number(media, "chunk")
        timestamp_ms = _number(media, "timestamp")
        payload = media.get("payload")
        if type(payload) is not str:
            raise ProtocolError("Twilio media has no payload")
        try:
            ulaw = a2b_base64(payload, strict_mode=True) if payload else b""
        except ValueError as error:
            raise ProtocolError("Twilio media payload is not valid base64") from error
        if len(ulaw) > MAX_PAYLOAD_BYTES:
            raise ProtocolError(
                f"Twilio media payload of {len(ulaw)} bytes; the limit is {MAX_PAYLOAD_BYTES}"
            )
        if not self._advance(chunk) or not ulaw:
            self.dropped += 1
            return []
        position = self._position
        lost = position - self._delivered
        self._position = self._delivered = position + len(ulaw)
        self._frame_samples = len(ulaw)
        return [Media(ulaw, position, timestamp_ms, lost)]

    def _advance(self, chunk: int) -> bool:
        """Take the next chunk number and move past what is missing before it; False: late or a repetition."""
        previous = self._chunk
        if previous is not None:
            missing = chunk - previous - 1
            if missing < 0:
                return False
            if missing * self._frame_samples > MAX_LOST_SAMPLES:
                raise ProtocolError(f"Twilio media jumped from chunk {previous} to {chunk}")
            self._position += missing * self._frame_samples
        self._chunk = chunk
        return True

    def _dtmf(self, message: dict[str, Any]) -> list[CarrierEvent]:
        if not self._running(message, "dtmf"):
            return []
        digit = _object(message, "dtmf").get("digit")
        if type(digit) is not str or digit.upper() not in DIGITS:
            raise ProtocolError("Twilio dtmf has no digit of 0-9, *, #, A-D")
        return [Digit(digit.upper())]

    def _mark(self, message: dict[str, Any]) -> list[CarrierEvent]:
        if not self._running(message, "mark"):
            return []
        return [MarkPlayed(_identifier(_object(message, "mark"), "name"))]

    def _stop(self, message: dict[str, Any]) -> list[CarrierEvent]:
        if not self._running(message, "stop"):
            return []
        self.stopped = True
        return [Stopped("the carrier ended the stream")]

    def _running(self, message: dict[str, Any], event: str) -> bool:
        """Whether the stream takes events; False after its stop. Raises ProtocolError before its start."""
        if not self.stream_id:
            raise ProtocolError(f"Twilio sent {event} before start")
        if message.get("streamSid", self.stream_id) != self.stream_id:
            raise ProtocolError(f"Twilio sent {event} for another stream")
        return not self.stopped


def _object(message: dict[str, Any], name: str) -> dict[str, Any]:
    value = message.get(name)
    if type(value) is not dict:
        raise ProtocolError(f"Twilio message has no {name} object")
    return value


def _number(message: dict[str, Any], name: str) -> int:
    value = message.get(name)
    if type(value) is int and 0 <= value < 10**_MAX_NUMBER_CHARS:
        return value
    if type(value) is str and value.isascii() and value.isdigit() and len(value) <= _MAX_NUMBER_CHARS:
        return int(value)
    raise ProtocolError(f"Twilio media has no {name} number")


def _identifier(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    if type(value) is not str or not 0 < len(value) <= MAX_ID_CHARS:
        raise ProtocolError(f"Twilio message has no {name} of 1 to {MAX_ID_CHARS} characters")
    if not (value.isascii() and value.isprintable()):
        raise ProtocolError(f"Twilio {name} is not printable ASCII")
    return value


def _check_format(media_format: dict[str, Any]) -> None:
    encoding, rate, channels = (media_format.get(name) for name in ("encoding", "sampleRate", "channels"))
    if (encoding, str(rate), str(channels)) != ("audio/x-mulaw", "8000", "1"):
        raise ProtocolError("Twilio stream is not audio/x-mulaw, 8000 Hz, 1 channel")


def _parameters(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if type(value) is not dict or len(value) > MAX_PARAMETERS:
        raise ProtocolError(f"Twilio customParameters is not an object of at most {MAX_PARAMETERS} entries")
    for name, text in value.items():
        if type(text) is not str or len(name) + len(text) > MAX_PARAMETER_CHARS:
            raise ProtocolError(
                f"a Twilio custom parameter is not a text of {MAX_PARAMETER_CHARS} characters"
            )
        if not _encodable(name + text):
            raise ProtocolError("a Twilio custom parameter is not valid Unicode")
    return value


def _encodable(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)

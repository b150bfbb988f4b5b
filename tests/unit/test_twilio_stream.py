"""Twilio's media protocol: text in, events out."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.telephony.events import (
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
from engine.telephony.twilio import MAX_MESSAGE_CHARS, MAX_PAYLOAD_BYTES, TwilioStream

FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
FRAME = bytes(range(160))


def start_text(**changes: Any) -> str:
    start = {
        "streamSid": "MZ1",
        "accountSid": "AC1",
        "callSid": "CA1",
        "tracks": ["inbound"],
        "customParameters": {"caller": "+15550100", "note": "grüße"},
        "mediaFormat": FORMAT,
    }
    return json.dumps({"event": "start", "sequenceNumber": "1", "streamSid": "MZ1", "start": start | changes})


def media_text(number: int, ulaw: bytes = FRAME, **changes: Any) -> str:
    media = {
        "track": "inbound",
        "chunk": str(number),
        "timestamp": str(number * 20),
        "payload": base64.b64encode(ulaw).decode(),
    }
    message = {"event": "media", "sequenceNumber": str(number + 1), "streamSid": "MZ1"}
    return json.dumps(message | {"media": media | changes})


def event_text(event: str, **members: Any) -> str:
    return json.dumps({"event": event, "sequenceNumber": "9", "streamSid": "MZ1"} | members)


@pytest.fixture
def stream() -> TwilioStream:
    """A stream that has started."""
    started = TwilioStream()
    started.receive(json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}))
    started.receive(start_text())
    return started


def test_a_whole_call() -> None:
    stream = TwilioStream()
    texts = [
        json.dumps({"event": "connected", "protocol": "Call", "version": "1.0.0"}),
        start_text(),
        media_text(1),
        media_text(2),
        event_text("dtmf", dtmf={"track": "inbound_track", "digit": "5"}),
        event_text("mark", mark={"name": "m1"}),
        event_text("stop", stop={"accountSid": "AC1", "callSid": "CA1"}),
    ]
    events = [event for text in texts for event in stream.receive(text)]
    assert events == [
        Started("CA1", "MZ1", "+15550100", {"caller": "+15550100", "note": "grüße"}),
        Media(FRAME, position=0, timestamp_ms=20),
        Media(FRAME, position=160, timestamp_ms=40),
        Digit("5"),
        MarkPlayed("m1"),
        Stopped("the carrier ended the stream"),
    ]
    assert stream.stopped
    assert (stream.dropped, stream.ignored) == (0, 0)


def test_late_and_repeated_chunks_are_dropped(stream: TwilioStream) -> None:
    texts = [media_text(5), media_text(6), media_text(6), media_text(5), media_text(7)]
    events = [event for text in texts for event in stream.receive(text)]
    assert [(event.position, event.lost) for event in events if isinstance(event, Media)] == [
        (0, 0),
        (160, 0),
        (320, 0),
    ]
    assert stream.dropped == 2


def test_a_gap_is_reported_and_moves_the_position(stream: TwilioStream) -> None:
    stream.receive(media_text(1))
    (event,) = stream.receive(media_text(4))
    assert event == Media(FRAME, position=480, timestamp_ms=80, lost=320)


def test_a_gap_before_an_empty_frame_is_reported_with_the_next_audio(stream: TwilioStream) -> None:
    stream.receive(media_text(1))
    assert stream.receive(media_text(3, b"")) == []
    (event,) = stream.receive(media_text(4))
    assert isinstance(event, Media)
    assert (event.position, event.lost) == (320, 160)


def test_an_impossible_gap_is_refused(stream: TwilioStream) -> None:
    stream.receive(media_text(1))
    with pytest.raises(ProtocolError, match="jumped"):
        stream.receive(media_text(10**9))


def test_other_tracks_and_unknown_events_are_ignored(stream: TwilioStream) -> None:
    assert stream.receive(media_text(1, track="outbound")) == []
    assert stream.receive(event_text("announcement", news=[1, 2])) == []
    assert stream.ignored == 2


def test_after_stop_nothing_happens(stream: TwilioStream) -> None:
    stream.receive(event_text("stop", stop={}))
    late = [media_text(1), event_text("dtmf", dtmf={"digit": "1"}), event_text("stop", stop={})]
    assert [stream.receive(text) for text in late] == [[], [], []]


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\x01",
        "",
        "nonsense",
        "[]",
        "{}",
        '{"event":7}',
        "[" * 60_000,
        '{"event":"start"}',
        start_text(mediaFormat={**FORMAT, "encoding": "audio/x-l16"}),
        start_text(mediaFormat={**FORMAT, "sampleRate": 16000}),
        start_text(mediaFormat={**FORMAT, "channels": 2}),
        start_text(mediaFormat=None),
        start_text(callSid=""),
        start_text(callSid="C" * 200),
        start_text(callSid="CA\n1"),
        start_text(customParameters={"a": 1}),
        start_text(customParameters={"a": "\ud800"}),
        start_text(customParameters={str(n): "" for n in range(51)}),
        media_text(1),
        event_text("dtmf", dtmf={"digit": "1"}),
        event_text("stop", stop={}),
        " " * MAX_MESSAGE_CHARS + "{}",
    ],
)
def test_refused_before_start(text: str | bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        TwilioStream().receive(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        start_text(),
        media_text(1, payload="!!!!"),
        media_text(1, payload="AAA"),
        media_text(1, payload="ü"),
        media_text(1, payload=None),
        media_text(1, bytes(MAX_PAYLOAD_BYTES + 1)),
        media_text(1, chunk="-1"),
        media_text(1, chunk="1" * 30),
        media_text(1, chunk=1.5),
        media_text(1, chunk=True),
        media_text(1, timestamp="²"),
        media_text(1).replace("MZ1", "MZ2"),
        event_text("media"),
        event_text("dtmf", dtmf={"digit": "12"}),
        event_text("dtmf", dtmf={"digit": ""}),
        event_text("mark", mark={"name": "\x00"}),
        event_text("mark", mark="m"),
    ],
)
def test_refused_after_start(stream: TwilioStream, text: str) -> None:
    with pytest.raises(ProtocolError):
        stream.receive(text)


def test_what_is_sent(stream: TwilioStream) -> None:
    assert json.loads(stream.send(SendMedia(FRAME))) == {
        "event": "media",
        "streamSid": "MZ1",
        "media": {"payload": base64.b64encode(FRAME).decode()},
    }
    assert json.loads(stream.send(SendMark('a"b'))) == {
        "event": "mark",
        "streamSid": "MZ1",
        "mark": {"name": 'a"b'},
    }
    assert json.loads(stream.send(SendClear())) == {"event": "clear", "streamSid": "MZ1"}
    assert json.loads(stream.send(SendEvent({"type": "state", "state": "listening"}))) == {
        "event": "parley",
        "streamSid": "MZ1",
        "parley": {"type": "state", "state": "listening"},
    }


def test_nothing_is_sent_before_start() -> None:
    with pytest.raises(ProtocolError):
        TwilioStream().send(SendClear())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
names = st.sampled_from(
    [
        "event",
        "streamSid",
        "start",
        "media",
        "mark",
        "dtmf",
        "stop",
        "callSid",
        "mediaFormat",
        "chunk",
        "timestamp",
        "payload",
        "track",
        "name",
        "digit",
        "customParameters",
        "encoding",
        "sampleRate",
    ]
)
known = st.sampled_from(
    ["connected", "start", "media", "mark", "dtmf", "stop", "MZ1", "1", "AAAA", "inbound"]
)
protocol_like = st.recursive(
    known | json_values,
    lambda inner: st.dictionaries(names, inner, max_size=6),
    max_leaves=12,
).map(json.dumps)
mutated = st.tuples(
    st.sampled_from([start_text(), media_text(1), media_text(9), event_text("mark", mark={"name": "m"})]),
    st.integers(0, 300),
    st.text(max_size=3),
).map(lambda parts: parts[0][: parts[1]] + parts[2] + parts[0][parts[1] + len(parts[2]) :])


@given(st.booleans(), st.lists(st.text() | st.binary(max_size=20) | protocol_like | mutated, max_size=6))
def test_any_input_gives_events_or_a_protocol_error(started: bool, texts: list[str | bytes]) -> None:
    stream = TwilioStream()
    if started:
        stream.receive(start_text())
    end = 0
    for text in texts:
        try:
            events = stream.receive(text)
        except ProtocolError:
            return
        for event in events:
            if isinstance(event, Media):
                assert event.position - event.lost == end
                end = event.position + len(event.ulaw)


@given(st.lists(st.integers(0, 40), max_size=60))
def test_positions_follow_the_chunk_numbers(chunks: list[int]) -> None:
    stream = TwilioStream()
    stream.receive(start_text())
    events = [event for chunk in chunks for event in stream.receive(media_text(chunk))]
    for event in events:
        assert isinstance(event, Media)
        assert event.position == event.timestamp_ms * 8 - chunks[0] * 160
    assert len(events) + stream.dropped == len(chunks)

"""The carrier's end of a stream: what it sends, what it obeys, what it refuses."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.simulator.carrier import CallIdentity, Carrier
from engine.simulator.events import AgentPiece, OtherEvent, TurnDone
from engine.simulator.tape import FRAME_BYTES
from engine.telephony.events import Digit, MarkPlayed, Media, Started, Stopped
from engine.telephony.twilio import TwilioStream


def from_server(carrier: Carrier, event: str, **body: Any) -> list[str]:
    message = {"event": event, "streamSid": carrier.identity.stream_sid, **body}
    return carrier.receive(json.dumps(message), at=1.0)


def send_audio(carrier: Carrier, audio: bytes) -> None:
    from_server(carrier, "media", media={"payload": base64.b64encode(audio).decode()})


def names(messages: list[str]) -> list[str]:
    return [json.loads(message)["mark"]["name"] for message in messages]


operations = st.lists(
    st.one_of(
        st.tuples(st.just("media"), st.binary(min_size=1, max_size=500)),
        st.tuples(st.just("mark"), st.just(b"")),
        st.tuples(st.just("clear"), st.just(b"")),
        st.tuples(st.just("play"), st.just(b"")),
    ),
    max_size=60,
)


@given(operations)
def test_marks_come_back_once_in_order_and_never_early(steps: list[tuple[str, bytes]]) -> None:
    carrier = Carrier()
    waiting: list[tuple[int, str]] = []  # (bytes that must be over before the echo, name)
    sent = over = marks = 0
    for step, audio in [*steps, *[("play", b"")] * 200]:
        echoed: list[str] = []
        match step:
            case "media" if audio[:4] not in (b"RIFF", b".snd"):
                send_audio(carrier, audio)
                sent += len(audio)
            case "mark":
                marks += 1
                from_server(carrier, "mark", mark={"name": str(marks)})
                waiting.append((sent, str(marks)))
            case "clear":
                echoed, over = names(from_server(carrier, "clear")), sent
                assert echoed == [name for _, name in waiting]
                assert carrier.buffered_ms == 0
            case "play":
                played = carrier.play()
                echoed = names(played.messages)
                assert echoed == [name for needs, name in waiting if needs <= over]
                assert (played.position >= 0) == (over < sent)
                over = min(over + FRAME_BYTES, sent)
        del waiting[: len(echoed)]
    assert not waiting
    assert carrier.violations == []


@given(st.lists(st.binary(min_size=1, max_size=700).filter(lambda b: b[:4] not in (b"RIFF", b".snd"))))
def test_what_is_played_is_what_was_sent(pieces: list[bytes]) -> None:
    carrier, heard = Carrier(), b""
    for piece in pieces:
        send_audio(carrier, piece)
    while carrier.buffered_ms:
        played = carrier.play()
        assert played.position == len(heard)
        heard += played.frame
    total = b"".join(pieces)
    assert heard[: len(total)] == total
    assert set(heard[len(total) :]) <= {0xFF}
    assert carrier.play().position == -1


def test_a_clear_drops_the_audio_and_later_audio_is_still_placed_behind_it() -> None:
    carrier = Carrier()
    send_audio(carrier, bytes(1_000))
    carrier.play()
    from_server(carrier, "clear")
    assert carrier.play().position == -1
    send_audio(carrier, b"\x01" * 160)
    played = carrier.play()
    assert (played.frame, played.position) == (b"\x01" * 160, 1_000)
    assert [cleared.position for cleared in carrier.cleared] == [1_000]


@pytest.mark.parametrize(("loses", "kept"), [(lambda _: True, ""), (lambda number: number % 2 == 1, "ace")])
def test_marks_that_get_lost_are_lost_once_and_the_audio_is_played(
    loses: Callable[[int], bool], kept: str
) -> None:
    carrier, echoed = Carrier(loses=loses), list[str]()
    for name in "abcde":
        send_audio(carrier, bytes(100))
        from_server(carrier, "mark", mark={"name": name})
    echoed += names(carrier.play().messages) + names(carrier.play().messages)
    echoed += names(from_server(carrier, "clear"))
    assert "".join(echoed) == kept
    assert carrier.play().messages == []


def test_the_server_side_understands_all_that_is_sent() -> None:
    """The engine's own Twilio reader, written from the same documentation by other hands."""
    carrier, stream = Carrier(CallIdentity(parameters={"caller": "+15550100"})), TwilioStream()
    send_mark = json.dumps(
        {"event": "mark", "streamSid": carrier.identity.stream_sid, "mark": {"name": "end"}}
    )
    carrier.receive(send_mark, 0.0)
    messages = [
        *carrier.opening(),
        carrier.media(b"\x01" * 160),
        carrier.media(b"\x02" * 160),
        carrier.dtmf("#"),
        *carrier.play().messages,
        carrier.stop(),
    ]
    assert [event for message in messages for event in stream.receive(message)] == [
        Started(carrier.identity.call_sid, carrier.identity.stream_sid, "+15550100", {"caller": "+15550100"}),
        Media(b"\x01" * 160, 0, 0, 0),
        Media(b"\x02" * 160, 160, 20, 0),
        Digit("#"),
        MarkPlayed("end"),
        Stopped("the carrier ended the stream"),
    ]
    numbered = [json.loads(message) for message in messages[1:]]
    assert [message["sequenceNumber"] for message in numbered] == ["1", "2", "3", "4", "5", "6"]


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        (b"\x00", "binary"),
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"event":"clear"}', "streamSid is missing"),
        ('{"event":"clear","streamSid":"MZother"}', "not this stream's"),
        ('{"event":"playAudio","streamSid":"MZ1"}', "unknown event"),
        ('{"event":"media","streamSid":"MZ1"}', "without a 'media' object"),
        ('{"event":"media","streamSid":"MZ1","media":{}}', "without a payload"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"_w=="}}', "not base64"),
        ('{"event":"media","streamSid":"MZ1","media":{"payload":"UklGRiQAAABXQVZF"}}', "file header"),
        ('{"event":"mark","streamSid":"MZ1","mark":{}}', "mark without a name"),
        ('{"event":"parley","streamSid":"MZ1","parley":{"type":"user","turn":"x"}}', "parley event 'user'"),
    ],
)
def test_what_a_carrier_would_refuse_is_a_violation_and_has_no_effect(
    message: str | bytes, rule: str
) -> None:
    carrier = Carrier(CallIdentity(stream_sid="MZ1"))
    assert carrier.receive(message, at=2.5) == []
    assert [rule in violation.rule for violation in carrier.violations] == [True]
    assert carrier.violations[0].at == 2.5
    assert carrier.play().position == -1
    assert carrier.events == []


def test_a_key_that_no_telephone_has() -> None:
    with pytest.raises(ProtocolError, match="no key 'x'"):
        Carrier().dtmf("x")


def test_events_are_parsed_and_placed_among_the_audio() -> None:
    carrier = Carrier()
    from_server(
        carrier, "parley", parley={"type": "agent", "turn": 1, "piece": 0, "text": "Hi", "kind": "reply"}
    )
    send_audio(carrier, bytes(320))
    stamps = {"speech_end": 1.0, "context": None}
    from_server(
        carrier, "parley", parley={"type": "turn", "turn": 1, "stamps": stamps, "served": {"stt": None}}
    )
    from_server(carrier, "parley", parley={"type": "weather", "is": "fine"})
    assert [(received.position, received.event) for received in carrier.events] == [
        (0, AgentPiece(1, 0, "Hi", "reply")),
        (320, TurnDone(1, stamps={"speech_end": 1.0})),
        (320, OtherEvent("weather", {"type": "weather", "is": "fine"})),
    ]
    assert carrier.violations == []

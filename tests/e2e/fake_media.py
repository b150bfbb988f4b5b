"""A media server for browser tests: speaks through `TwilioStream`, follows a script, records what it hears.

It greets at once; after two seconds of caller audio it "answers" with a transcript and timings. Keys drive
the rest: 7 plays a long piece and clears it at once, 8 drops the socket, 9 ends the call politely.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from engine.api.app import Tenants, create_app
from engine.call.record import put_record
from engine.config import Settings
from engine.errors import TokenRefused
from engine.store.sqlite import SqliteStore
from engine.telephony.events import (
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
from engine.telephony.tokens import MediaClaims, verify
from engine.telephony.twilio import TwilioStream
from models import CallKey, CallRecord, new_id
from tests.unit.api_client import Library

ANSWER_AFTER_SAMPLES = 16_000
LONG_SAMPLES = 40_000
FRAME_SAMPLES = 160


def tone(samples: int, hertz: float = 440.0) -> bytes:
    """A mu-law sine: a stand-in for the agent's voice."""
    times = np.arange(samples) / 8_000
    magnitude = 0.3 * np.sin(2 * math.pi * hertz * times)
    compressed = np.sign(magnitude) * np.log1p(255 * np.abs(magnitude)) / math.log(256)
    codes = np.round(np.abs(compressed) * 127).astype(np.uint8) | np.where(compressed < 0, 0x80, 0)
    return bytes((~codes & 0xFF).astype(np.uint8))


@dataclass
class Call:
    """One socket, as the server saw it. Digits and marks -> the samples received before them."""

    claims: MediaClaims
    stream: TwilioStream
    started: Started | None = None
    media: list[Media] = field(default_factory=list)
    digits: dict[str, int] = field(default_factory=dict)
    marks: dict[str, int] = field(default_factory=dict)
    stopped: bool = False
    closed: bool = False
    answered: bool = False

    @property
    def samples(self) -> int:
        return sum(len(media.ulaw) for media in self.media)


class FakeMedia:
    """The calls so far; `wait` is for the test's thread. `full` and `alive` answer for the switchboard."""

    def __init__(self, settings: Settings) -> None:
        self.calls: list[Call] = []
        self.full: str | None = None
        self.alive = True
        self._settings = settings
        self._store = SqliteStore(settings.data_dir / "parley.db")
        self._changed = threading.Condition()

    async def capacity(self, company_id: str) -> str | None:
        return self.full

    async def live(self, call: CallKey) -> bool:
        return self.alive and any(one.claims.call_id == call.call_id for one in self.calls)

    async def wind_up(self, call: CallKey) -> None:
        raise AssertionError("nobody ends a call here")

    async def metrics(self) -> str:
        return ""

    async def agent_for_number(self, number: str) -> tuple[str, str] | None:
        return ("demo", "demo")

    async def ready(self) -> Mapping[str, str | None]:
        return {}

    def app(self) -> FastAPI:
        """The real API with this media server beside it."""
        app = create_app(self, self._settings, Tenants(self._store, Library()))
        app.add_api_websocket_route("/media/{token}", self.serve)
        return app

    def wait(self, condition: Callable[[Call], bool], timeout_s: float = 15.0) -> Call:
        """The latest call, once `condition` holds for it."""
        with self._changed:
            held = self._changed.wait_for(lambda: bool(self.calls) and condition(self.calls[-1]), timeout_s)
            assert held, f"not seen in {timeout_s} s: {self.calls[-1:] and summary(self.calls[-1])}"
            return self.calls[-1]

    async def serve(self, socket: WebSocket, token: str) -> None:
        try:
            claims = verify(token, self._settings.signing_secret())
        except TokenRefused:
            await socket.close(1008)
            return
        await socket.accept()
        call = Call(claims, TwilioStream())
        self.calls.append(call)
        try:
            while True:
                for event in call.stream.receive(await socket.receive_text()):
                    with self._changed:
                        self._record(call, event)
                        self._changed.notify_all()
                    await self._react(call, event, socket)
        except WebSocketDisconnect:
            pass
        finally:
            with self._changed:
                call.closed = True
                self._changed.notify_all()

    def _record(self, call: Call, event: CarrierEvent) -> None:
        match event:
            case Started():
                call.started = event
            case Media():
                call.media.append(event)
            case Digit(digit):
                call.digits[digit] = call.samples
            case MarkPlayed(name):
                call.marks[name] = call.samples
            case Stopped():
                call.stopped = True

    async def _react(self, call: Call, event: CarrierEvent, socket: WebSocket) -> None:
        async def tell(**event: Any) -> None:
            await socket.send_text(call.stream.send(SendEvent(event)))

        match event:
            case Started():
                await self._keep(call.claims)
                await tell(type="call", call_id=call.claims.call_id, agent="Garden Clinic")
                await tell(type="state", state="listening")
                text = "Hello, <b>Garden</b> Clinic. How can I help?"
                await tell(type="agent", turn=0, piece=0, text=text, kind="greeting")
                await self._play(call, socket, 4_000, "greeting")
                await tell(type="heard", turn=0, text=text, interrupted=False)
            case Media() if not call.answered and call.samples >= ANSWER_AFTER_SAMPLES:
                call.answered = True
                await self._answer(call, socket, tell)
            case Digit("7"):
                await self._play(call, socket, LONG_SAMPLES, "long")
                await socket.send_text(call.stream.send(SendClear()))
            case Digit("8"):
                await socket.close(1011)
            case Digit("9"):
                await tell(type="ended", reason="the agent said goodbye")
                await socket.close(1000)

    async def _keep(self, claims: MediaClaims) -> None:
        """The line that the recorder writes of a call which begins."""
        ids = {"company_id": claims.company_id, "call_id": claims.call_id, "agent_id": claims.agent_id}
        started = datetime.now(UTC)
        record = CallRecord(id=new_id("cal"), caller=claims.caller, started_at=started, **ids)
        await put_record(self._store, record)

    async def _answer(self, call: Call, socket: WebSocket, tell: Callable[..., Any]) -> None:
        begin = time.time() * 1000
        offsets = {"speech_end": 0, "pause": 144, "transcript": 214, "score": 190, "confirmed": 236}
        offsets |= {
            "context": 231,
            "first_token": 318,
            "first_audio": 391,
            "released": 394,
            "first_byte": 398,
        }
        await tell(type="user", turn=1, text="Are you open on Saturday morning?")
        await tell(type="state", state="thinking")
        await tell(type="agent", turn=1, piece=0, text="Yes, we are open on Saturdays", kind="reply")
        await tell(type="agent", turn=1, piece=1, text="from nine until one o'clock.", kind="reply")
        await self._play(call, socket, 4_000, "answer")
        await tell(
            type="turn",
            turn=1,
            user="Are you open on Saturday morning?",
            agent="Yes, we are open on Saturdays from nine until one o'clock.",
            kind="reply",
            stamps={name: begin + offset for name, offset in offsets.items()},
            tokens=17,
            served={"stt": "local", "llm": "local", "tts": "local"},
        )
        await tell(type="heard", turn=1, text="Yes, we are open on Saturdays", interrupted=True)
        await tell(type="state", state="listening")

    async def _play(self, call: Call, socket: WebSocket, samples: int, mark: str) -> None:
        audio = tone(samples)
        for start in range(0, samples, FRAME_SAMPLES):
            await socket.send_text(call.stream.send(SendMedia(audio[start : start + FRAME_SAMPLES])))
            await asyncio.sleep(0)
        await socket.send_text(call.stream.send(SendMark(mark)))


def summary(call: Call) -> str:
    return f"{call.samples} samples, digits {call.digits}, marks {call.marks}, stopped {call.stopped}"

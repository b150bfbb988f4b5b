"""The media edge's half of a call, without Ray: a carrier's socket on one side, the link on the other.

It owns the 20 ms: codec, voice activity, paced playout, marks. It knows nothing of the conversation but one
reflex: speech over interruptible audio holds playout at once, before anybody is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from engine.audio.segmenter import (
    SegmenterEvent,
    SpeechAudio,
    SpeechSegmenter,
    SpeechStarted,
    SpeechState,
    SpeechStopped,
    Vad,
    VadConfig,
)
from engine.call.player import Player
from engine.call.recording import Recording, RecordingWriter
from engine.call.spec import ActorLost, Attach, Attached, CallSpec, NotThisCall
from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.errors import NoCapacity, ProtocolError
from engine.link import Batch, LinkEnd
from engine.providers.base import SAMPLE_RATE_HZ
from engine.telephony.events import (
    CarrierCommand,
    CarrierEvent,
    Digit,
    MarkPlayed,
    Media,
    SendEvent,
    Started,
    Stopped,
)
from engine.telephony.twilio import TwilioStream

log = logging.getLogger("parley.edge")

SEND_S = 5.0
"""A peer that takes nothing for so long is gone."""
START_S = 10.0
"""A carrier says at once which call it is; whoever does not is none, and must not keep a line."""
HEAR_S = 2.0
POLL_S = 3.0
ATTACH_S = 3.0
TAKEOVER_S = 10.0
RETRY_S = 0.2
MAX_TAKEOVERS = 5
"""More actors than that do not die by chance in one call: something in it kills them."""


_LEAVING: set[asyncio.Task[None]] = set()
"""Farewells under way, each bounded by HEAR_S: the loop alone would not keep them alive."""


class Socket(Protocol):
    """A WebSocket; the iterator ends when the peer is gone."""

    def messages(self) -> AsyncIterator[str | bytes]: ...
    async def send(self, text: str) -> None: ...
    async def close(self, code: int, reason: str) -> None: ...


class Port(Protocol):
    """A call actor. Every method raises ActorLost or NotThisCall."""

    async def attach(self, attach: Attach) -> Attached: ...
    async def hear(self, epoch: int, batch: Batch[ev.EdgeEvent]) -> int: ...
    async def commands(self, epoch: int, received: int, settled: int) -> Batch[cmd.EdgeCommand]: ...
    async def hang_up(self, reason: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Line:
    """A lease: the actor to speak to, and the number of the attachment."""

    port: Port
    epoch: int


Replace = Callable[[Line], Awaitable[Line]]
"""Another actor for the call; raises NoCapacity when the call is over."""


class EdgeCall:
    """One socket. `run` returns when the call is over here, with the reason; then `finish` it."""

    def __init__(
        self,
        spec: CallSpec,
        socket: Socket,
        vad: Vad,
        line: Line,
        replace: Replace,
        recording: Recording | None = None,
    ) -> None:
        self._spec = spec
        self._socket = socket
        self._line = line
        self._replace = replace
        self._stream = TwilioStream()
        self._segmenter = SpeechSegmenter(vad, VadConfig(pause_ms=spec.agent.turn_taking.pause_ms))
        self._player = Player(self._send, self._tell)
        self._link: LinkEnd[ev.EdgeEvent, cmd.EdgeCommand] = LinkEnd()
        self._base = 0
        self._to_tell = asyncio.Event()
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._takeover = asyncio.Lock()
        self._takeovers = 0
        self._leaving: asyncio.Task[None] | None = None
        self._goodbye = ""
        """Why the call is over; empty while it may go on at another socket."""
        self.began = False
        """Whether the carrier started the call: before, its actor knows nothing of it."""
        self._workers: tuple[asyncio.Task[None], ...] = ()
        self._recorder: RecordingWriter | None = None
        if recording is not None:
            self._recorder = RecordingWriter(spec.call_id, recording, spec.max_call_s)

    async def run(self) -> str:
        """Serve the socket until one side ends the call; returns why it ended."""
        reader = asyncio.create_task(self._read(), name=f"read {self._spec.call_id}")
        reader.add_done_callback(lambda _: self._end("connection lost"))
        patience = asyncio.get_running_loop().call_later(START_S, self._end_unless_begun)
        try:
            return await self._over
        finally:
            patience.cancel()
            tasks = (reader, *self._workers)
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):
                    log.error("call %s: edge task failed", self._spec.call_id, exc_info=result)
            if self._workers:
                await asyncio.wait({self._leave()}, timeout=HEAR_S)

    async def finish(self) -> None:
        """Complete the recording. Close the socket first: nobody stays on the line for a slow recorder."""
        if self._recorder:
            await self._recorder.finish()

    @property
    def epoch(self) -> int:
        """The attachment that this edge holds."""
        return self._line.epoch

    def _end(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    def _end_unless_leaving(self, reason: str) -> None:
        """After a farewell it is as it should be that the actor does not know this attachment any more."""
        if not self._goodbye:
            self._end(reason)

    def _end_unless_begun(self) -> None:
        if not self.began:
            self._end("never started")

    # From the carrier

    async def _read(self) -> None:
        try:
            async for text in self._socket.messages():
                for event in self._stream.receive(text):
                    await self._take(event)
        except ProtocolError as error:
            log.warning("call %s: %s", self._spec.call_id, error)
            self._goodbye = "protocol error"
            if self._workers:
                self._leave()  # begun before the socket ends, but not waited for: the peer is to hear why
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SEND_S):
                    await self._socket.close(1008, str(error)[:100])
            self._end("protocol error")

    async def _take(self, event: CarrierEvent) -> None:
        match event:
            case Media(ulaw, position, _, lost):
                if self._recorder:
                    self._recorder.caller(position, ulaw)
                speech = self._segmenter.gap(lost) if lost else []
                for segment in [*speech, *self._segmenter.push(ulaw)]:
                    await self._tell_speech(segment)
                if self._player.withholds and self._segmenter.state is SpeechState.SILENT:
                    await self._player.begin()
            case MarkPlayed(name):
                self._player.on_mark(name)
            case Digit(digit):
                if self._player.interruptible:
                    await self._player.hold()
                self._tell(ev.DigitPressed(digit))
            case Started():
                self.began = True
                await self._attach_first()
                self._workers = (
                    asyncio.create_task(self._tell_actor(), name=f"tell {self._spec.call_id}"),
                    asyncio.create_task(self._poll_actor(), name=f"poll {self._spec.call_id}"),
                    asyncio.create_task(self._player.play(), name=f"play {self._spec.call_id}"),
                )
                for worker in self._workers:
                    worker.add_done_callback(lambda _: self._end_unless_leaving("edge failed"))
            case Stopped():
                self._hang_up("caller hung up")

    def _hang_up(self, reason: str) -> None:
        """The call is over, on whichever side."""
        if not self._goodbye:  # else this edge is leaving already, and knows better why
            self._goodbye = reason
            self._end(reason)

    def _leave(self) -> asyncio.Task[None]:
        """Take leave once, in a task of its own: Serve cancels this edge's as soon as the peer is gone."""
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._take_leave(), name=f"leave {self._spec.call_id}")
            _LEAVING.add(self._leaving)
            self._leaving.add_done_callback(_LEAVING.discard)
        return self._leaving

    async def _take_leave(self) -> None:
        """Tell the actor how far the caller heard, and that the call is over unless its socket was lost."""
        self._player.end()
        self._link.replay()  # what was under way may not have arrived; what did is not taken twice
        with contextlib.suppress(ActorLost, NotThisCall, TimeoutError):
            async with asyncio.timeout(HEAR_S):
                await self._line.port.hear(self._line.epoch, self._link.batch())
                if self._goodbye:
                    await self._line.port.hang_up(self._goodbye)

    async def _tell_speech(self, segment: SegmenterEvent) -> None:
        match segment:
            case SpeechStarted(at):
                self._tell(ev.CallerSpoke(self._base + at))
                if self._player.interruptible:
                    await self._player.hold()
            case SpeechAudio(at, ulaw):
                self._tell(ev.CallerAudio(self._base + at, ulaw))
            case SpeechStopped(at):
                silence_ms = (self._segmenter.position - at) * 1000 / SAMPLE_RATE_HZ
                self._tell(ev.CallerPaused(self._base + at, silence_ms))

    # To the actor, from the actor

    def _tell(self, event: ev.EdgeEvent) -> None:
        self._link.send(event)
        self._to_tell.set()

    async def _attach_first(self) -> None:
        line = self._line
        try:
            attached = await self._attach(line, "answered")
        except (ActorLost, NotThisCall, TimeoutError) as error:
            await self._take_over(line, error)
        else:
            # Another edge may have counted before: positions of call audio never go back.
            self._base = attached.position

    async def _attach(self, line: Line, reason: str) -> Attached:
        pieces = self._player.pieces
        attach = Attach(self._spec, line.epoch, self._link.first_kept, pieces=pieces, reason=reason)
        async with asyncio.timeout(ATTACH_S):
            return await line.port.attach(attach)

    async def _tell_actor(self) -> None:
        while True:
            await self._to_tell.wait()
            self._to_tell.clear()
            line = self._line
            batch = self._link.batch()
            if not batch:
                continue
            try:
                async with asyncio.timeout(HEAR_S):
                    await line.port.hear(line.epoch, batch)
            except (ActorLost, TimeoutError) as error:
                await self._take_over(line, error)
            except NotThisCall:
                self._end_unless_leaving("the call goes on elsewhere")

    async def _poll_actor(self) -> None:
        while True:
            line = self._line
            link = self._link
            try:
                async with asyncio.timeout(POLL_S):
                    batch = await line.port.commands(line.epoch, link.received, link.received)
            except (ActorLost, TimeoutError) as error:
                await self._take_over(line, error)
                continue
            except NotThisCall:
                self._end_unless_leaving("the call goes on elsewhere")
                return
            if line is not self._line:
                continue
            for command in link.receive(batch):
                await self._obey(command)

    async def _take_over(self, lost: Line, cause: Exception) -> None:
        """The actor is gone: give the call to another, and tell it what is not in the journal."""
        async with self._takeover:
            if self._line is not lost:
                return
            self._takeovers += 1
            if self._takeovers > MAX_TAKEOVERS:
                log.error("call %s: its actors keep failing: %s", self._spec.call_id, cause)
                self._end("call lost")
                return
            log.warning("call %s: actor lost (%s)", self._spec.call_id, cause or "no answer")
            try:
                tried = lost
                async with asyncio.timeout(TAKEOVER_S):
                    while self._line is lost:
                        tried = await self._try_another(tried)
            except (NoCapacity, TimeoutError) as error:
                log.error("call %s: no actor could take it over: %s", self._spec.call_id, error or "timeout")
                self._end("call lost")
            self._to_tell.set()

    async def _try_another(self, line: Line) -> Line:
        """Replace `line` and attach; only then is it this call's, so that nobody tells it anything before."""
        try:
            line = await self._replace(line)
            self._player.note_heard()
            await self._attach(line, "actor lost")
        except (ActorLost, NotThisCall, TimeoutError) as error:
            log.warning("call %s: no replacement yet: %s", self._spec.call_id, error or "no answer")
            await asyncio.sleep(RETRY_S)
            return line
        self._link.restart_incoming()
        self._link.replay()
        if self._segmenter.speaking:
            # Where its beginning was settled, as of noise that never ends, only this tells of the sound.
            self._link.send(ev.CallerSpoke(self._base + self._segmenter.position))
        self._line = line
        return line

    # To the carrier

    async def _obey(self, command: cmd.EdgeCommand) -> None:
        match command:
            case cmd.Play():
                await self._player.enqueue(command, self._segmenter.state)
            case cmd.HoldPlayout():
                await self._player.hold()
            case cmd.ResumePlayout() if self._segmenter.speaking:
                pass  # the caller has begun again, which the actor is about to hear
            case cmd.ResumePlayout():
                self._player.resume()
            case cmd.FlushPlayout():
                await self._player.flush()
            case cmd.Tell(event):
                await self._send(SendEvent(event))
            case cmd.HangUp(reason):
                self._hang_up(reason)

    async def _send(self, command: CarrierCommand) -> None:
        if self._recorder:
            self._recorder.sent(command)
        try:
            async with asyncio.timeout(SEND_S):
                await self._socket.send(self._stream.send(command))
        except TimeoutError:
            log.warning("call %s: the carrier takes no data", self._spec.call_id)
            self._end("connection stalled")

"""A person on a simulated line: dials a media URL, says recordings, presses keys, listens, hangs up.

    async with Caller.dial(url) as caller:
        await caller.agent_done(10)
        said = await caller.say(pcm)
        if not await caller.agent_done(15): ...

One task sends a frame every 20 ms by an absolute schedule (a late tick is caught up, so the call does not
drift) and plays out what came; another reads the socket. Nothing here waits without a deadline: waits return
whether, or what, they got.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from engine.audio import g711
from engine.errors import ProtocolError, Refused, TokenRefused, UsageError
from engine.simulator.carrier import CallIdentity, Carrier, MarkLoss, no_loss
from engine.simulator.events import ANSWER_KINDS, AgentPiece, Event, TurnDone
from engine.simulator.tape import FRAME_BYTES, FRAME_MS, Frame, Said, Tape, loud_frames, to_pcm

_FRAME_S = FRAME_MS / 1000
_DIAL_S = 10.0
_SEND_S = 5.0
_CLOSE_S = 1.0
QUIET_S = 0.6
"""Silence after which an agent that has said all it announced is taken to be done."""
SILENT_FOR_GOOD_S = 2.4
"""Silence after which an agent is done that may have more to say."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The caller's time, in seconds. `speed` 20 makes a minute of call last three seconds, for tests."""

    speed: float = 1.0

    def now(self) -> float:
        return time.monotonic() * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds) / self.speed)


REAL_TIME = Clock()


@dataclass(frozen=True, slots=True)
class Line:
    """How a call is placed. `background` (PCM at 8,000 Hz) sounds in a loop for as long as the call lasts.

    `loses_mark`: see `Carrier`.
    """

    identity: CallIdentity | None = None
    clock: Clock = REAL_TIME
    background: NDArray[np.int16] | None = None
    on_event: Callable[[Event], None] | None = None
    loses_mark: MarkLoss = no_loss


class _Microphone:
    """What the caller's side sounds like, frame by frame: words over the background."""

    def __init__(self, background: NDArray[np.int16] | None) -> None:
        length = 0 if background is None else len(background) // FRAME_BYTES
        looped = np.zeros((1, FRAME_BYTES)) if background is None or not length else background
        self._background = looped[: max(length, 1) * FRAME_BYTES].reshape(-1, FRAME_BYTES).astype(np.float64)
        self._silent = [g711.pcm_to_ulaw(to_pcm(row)) for row in self._background]
        self._words: deque[tuple[bytes, bool]] = deque()
        self._tick = 0

    @property
    def speaking(self) -> bool:
        return bool(self._words)

    def say(self, pcm: NDArray[np.int16], loud: list[bool]) -> None:
        for index in range(0, len(pcm), FRAME_BYTES):
            frame = np.zeros(FRAME_BYTES)
            piece = pcm[index : index + FRAME_BYTES]
            frame[: len(piece)] = piece
            number = index // FRAME_BYTES
            frame += self._background[(self._tick + number) % len(self._background)]
            self._words.append((g711.pcm_to_ulaw(to_pcm(frame)), loud[number]))

    def next(self) -> tuple[bytes, bool]:
        silent = self._silent[self._tick % len(self._silent)]
        self._tick += 1
        return self._words.popleft() if self._words else (silent, False)


class Caller:
    """One call in progress. Made by `dial`."""

    def __init__(self, socket: ClientConnection, line: Line) -> None:
        self.carrier = Carrier(line.identity, line.loses_mark)
        self.tape = Tape()
        self.clock = line.clock
        self.dialled_at = line.clock.now()
        self.close_code: int | None = None
        """How the server ended the WebSocket; None while open or when the caller hung up first."""
        self._socket = socket
        self._line = line
        self._microphone = _Microphone(line.background)
        self._sending = asyncio.Lock()
        self._talking = asyncio.Lock()
        self._pulse = asyncio.Event()
        self._open = True
        self._spoke_at = 0
        """How many events had come when the caller last began to speak."""
        self._spoke_from = -1
        self._failure: ProtocolError | None = None

    @classmethod
    @asynccontextmanager
    async def dial(cls, url: str, line: Line | None = None) -> AsyncIterator[Caller]:
        """Place a call; hangs up on leaving.

        Raises UsageError when nothing answers at `url`, TokenRefused when the server does not take its token,
        Refused when it takes no call now; at the end ProtocolError if the server had stopped reading, and
        what `on_event` raised.
        """
        socket = await _connect(url)
        caller = cls(socket, line or Line())
        tasks = [asyncio.create_task(caller._tick_along()), asyncio.create_task(caller._listen())]
        try:
            yield caller
        finally:
            await caller.hang_up()
            # What the server said before it closed is still being read.
            await asyncio.wait(tasks, timeout=_CLOSE_S)
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
        for failure in (caller._failure, *ends):
            if isinstance(failure, Exception):
                raise failure

    @property
    def open(self) -> bool:
        return self._open

    @property
    def events(self) -> list[Event]:
        """All in-band events so far."""
        return [received.event for received in self.carrier.events]

    async def say(self, pcm: NDArray[np.int16]) -> Said:
        """Speak clean PCM at 8,000 Hz over the line's background; returns when its last frame is sent."""
        async with self._talking:
            loud = loud_frames(pcm)
            start, frames = len(self.tape), len(loud)
            self._spoke_at, self._spoke_from = len(self.carrier.events), start
            self._microphone.say(pcm, loud)
            await self.until(lambda: not self._microphone.speaking, 2 * frames * _FRAME_S + _SEND_S)
            end = min(start + frames, len(self.tape))
            last = max((n for n in range(start, end) if self.tape[n].caller_loud), default=start)
            return Said(start, end, last, complete=end == start + frames)

    async def press(self, digit: str) -> None:
        """Press a key: 0 to 9, * or #."""
        await self._send(lambda: [self.carrier.dtmf(digit)])

    async def pause(self, seconds: float) -> None:
        """Say nothing for a while, or until the call ends."""
        await self.until(lambda: False, seconds)

    async def hang_up(self) -> None:
        """Send stop unless the call is over; give the server a second to close, close."""
        if self._open:
            await self._send(lambda: [self.carrier.stop()])
            self._finish()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await self._socket.wait_closed()
        await self._socket.close()

    def drop_line(self) -> None:
        """The network fails: the connection is gone, without a stop and without a closing handshake."""
        self._finish()
        self._socket.transport.abort()

    async def wait_for(self, predicate: Callable[[Event], bool], within_s: float) -> Event | None:
        """The first event of this call, past or coming, that `predicate` accepts; None: not in time."""
        await self.until(lambda: any(map(predicate, self.events)), within_s)
        return next(filter(predicate, self.events), None)

    async def agent_done(self, within_s: float) -> bool:
        """Wait until the agent has answered what was said last (or has greeted) and is silent again.

        A server that sends events is believed about what is a filler and when a turn is over; with any other,
        speech and then 0.6 s of silence count. False when it is not in time or the call ends first.
        """
        return await self.until(lambda: self.agent_is_done, within_s)

    @property
    def quiet_s(self) -> float:
        """For how long the agent has been silent; all of the call where it never spoke."""
        return (len(self.tape) - 1 - self.tape.last_agent_loud) * _FRAME_S

    @property
    def agent_is_done(self) -> bool:
        """What `agent_done` waits for."""
        spoke = self.tape.last_agent_loud
        if spoke <= self._spoke_from or self.carrier.buffered_ms or self._microphone.speaking:
            return False
        if not self.carrier.events:
            return self.quiet_s >= QUIET_S
        since = self.carrier.events[self._spoke_at :]
        pieces = [(one.at, one.event) for one in since if isinstance(one.event, AgentPiece)]
        if not pieces or pieces[-1][1].kind == "filler":
            return False
        told_at, last = pieces[-1]
        over = last.kind not in ANSWER_KINDS or any(
            isinstance(one.event, TurnDone) and one.event.turn >= last.turn for one in since
        )
        # Silence from before the last piece was told says nothing: its audio is still to come.
        quiet = min(self.quiet_s, self.clock.now() - told_at)
        return quiet >= (QUIET_S if over else SILENT_FOR_GOOD_S)

    async def until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Wait for a condition; False when it is not in time or the call ends first.

        Every tick and every message wakes this; a call without ticks is closed by the sending deadline.
        """
        deadline = self.clock.now() + within_s
        while not condition():
            if not self._open or self.clock.now() >= deadline:
                return False
            await self._pulse.wait()
        return True

    async def _tick_along(self) -> None:
        try:
            await self._send(self.carrier.opening)
            start = self.clock.now()
            while self._open:
                await self.clock.sleep(start + len(self.tape) * _FRAME_S - self.clock.now())
                await self._send(self._tick)
                self._wake()
        finally:
            self._finish()

    def _tick(self) -> list[str]:
        if not self._open:
            return []
        at = self.clock.now()
        frame, is_loud = self._microphone.next()
        played = self.carrier.play()
        self.tape.add(Frame(at, frame, is_loud, played.frame, played.position, played.received_at))
        return [*played.messages, self.carrier.media(frame)]

    async def _listen(self) -> None:
        try:
            async for message in self._socket:
                known = len(self.carrier.events)
                at = self.clock.now()
                await self._send(lambda m=message, at=at: self.carrier.receive(m, at))  # type: ignore[misc]
                if self._line.on_event is not None:
                    for received in self.carrier.events[known:]:
                        self._line.on_event(received.event)
                self._wake()
        except ConnectionClosed:
            pass  # the code below is all there is to know
        finally:
            if self._open:
                self.close_code = self._socket.close_code
            self._finish()

    async def _send(self, make: Callable[[], list[str]]) -> None:
        """Number and send messages in one go: two tasks write here, and the numbers must not cross."""
        async with self._sending:
            messages = make()
            if not self._open:
                return
            try:
                async with asyncio.timeout(_SEND_S):
                    for message in messages:
                        await self._socket.send(message)
            except ConnectionClosed:
                self.close_code = self._socket.close_code
                self._finish()
            except TimeoutError:
                self._failure = ProtocolError(f"the server read nothing for {_SEND_S:.0f} s")
                self._finish()

    def _finish(self) -> None:
        self._open = False
        self._wake()

    def _wake(self) -> None:
        self._pulse.set()
        self._pulse = asyncio.Event()


async def _connect(url: str) -> ClientConnection:
    try:
        return await connect(
            url,
            compression=None,
            proxy=None,
            open_timeout=_DIAL_S,
            close_timeout=_CLOSE_S,
            ping_interval=None,
        )
    except InvalidURI as error:
        raise UsageError(f"{url} is not a ws:// or wss:// address") from error
    except InvalidStatus as error:
        status = error.response.status_code
        if status in (401, 403):
            raise TokenRefused(
                f"the server refused the call ({status}): its media token is used or too old (take a fresh "
                "URL), or there is no room; its log says which"
            ) from error
        raise Refused(f"the server took no call (HTTP {status}): is it full or still starting?") from error
    except (OSError, TimeoutError, InvalidHandshake) as error:
        raise UsageError(f"nothing answers at {_where(url)}: start the server with `parley serve`") from error


def _where(url: str) -> str:
    """The address without its path, which is a token."""
    return "/".join(url.split("/")[:3])

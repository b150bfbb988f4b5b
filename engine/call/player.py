"""What the carrier is given to play, and what became of it: the edge's voice.

Paces frames and marks by the playout clock, reports what was heard, and has the one reflex: `hold`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from engine.audio.playout import Frame, Heard, Playout
from engine.audio.segmenter import SpeechState
from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.providers.base import SAMPLE_RATE_HZ
from engine.telephony.events import CarrierCommand, SendClear, SendMark, SendMedia

MAX_PIECES = 256
WITHHELD_S = 0.12
"""Speech that was beginning is known to be by then: two chunks of 32 ms, one before them, and a frame."""


class Player:
    """`send`: to the carrier, in order. `tell`: to the call actor; never waits."""

    def __init__(
        self, send: Callable[[CarrierCommand], Awaitable[None]], tell: Callable[[ev.EdgeEvent], None]
    ) -> None:
        self._send = send
        self._tell = tell
        self._playout = Playout()
        self._due = asyncio.Event()
        self._pieces: dict[str, ev.PieceHeard] = {}
        self._withheld_until: float | None = None
        """While the caller may be beginning to speak the silence is not ended; monotonic seconds."""
        self._unstarted: set[str] = set()
        """Pieces that wait or were stopped before their first sample: they start when the line gets there."""
        self.interruptible = True
        """Whether speech over what plays now holds it."""

    @property
    def pieces(self) -> tuple[ev.PieceHeard, ...]:
        """What became of the latest pieces, as far as it was noted."""
        return tuple(self._pieces.values())

    def note_heard(self) -> None:
        """Note how much of each piece was heard by now, for an actor that takes over."""
        self._note(*map(_heard, self._playout.heard(time.monotonic())))

    def on_mark(self, name: str) -> None:
        self._playout.on_mark(name, time.monotonic())
        self._due.set()

    async def play(self) -> None:
        """Send what is due, report what was heard; sleeps until the playout clock wants something."""
        while True:
            now = time.monotonic()
            if self._withheld_until is not None and now >= self._withheld_until:
                await self.begin()
            await self._send_due(now)
            self._report(now)
            next_at = self._withheld_until or self._playout.next_at(now)
            self._due.clear()
            delay = None if next_at is None else max(0.0, next_at - time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._due.wait()

    async def enqueue(self, play: cmd.Play, caller: SpeechState) -> None:
        """Play this next, while the caller does that."""
        now = time.monotonic()
        idle = self._playout.idle(now)
        if not self._playout.enqueue(play.piece, play.ulaw, now):
            return
        self._note(ev.PieceHeard(play.piece, 0, len(play.ulaw)))
        self._unstarted.add(play.piece)
        self.interruptible = play.interruptible
        if play.interruptible and caller is SpeechState.SPEAKING:
            # The caller began while this was on its way: the actor hears of it at the same moment.
            await self.hold()
            return
        if play.interruptible and caller is SpeechState.STIRRING and idle and not self._playout.paused:
            self._playout.pause(now)
            self._withheld_until = now + WITHHELD_S
            self._due.set()
            return
        await self._send_due(now)
        self._due.set()
        self._report_started()

    @property
    def withholds(self) -> bool:
        """Whether it waits for `begin`, which comes by itself after `WITHHELD_S`, or for `hold`."""
        return self._withheld_until is not None

    async def begin(self) -> None:
        """It was not speech, or that is not known for too long: what was withheld may be heard."""
        if self._withheld_until is not None:
            self.resume()
            await self._send_due(time.monotonic())

    async def hold(self) -> None:
        """The reflex: stop playing, keep what was not heard."""
        now = time.monotonic()
        if self._playout.idle(now):
            return
        self._withheld_until = None
        held = tuple(map(_heard, self._playout.pause(now)))
        await self._send(SendClear())
        self._report(now)
        self._note(*held)
        self._tell(ev.PlayoutHeld(held))

    def resume(self) -> None:
        """Go on from the first sample that was not heard."""
        self._withheld_until = None
        self._playout.resume(time.monotonic())
        self._due.set()
        self._report_started()

    async def flush(self) -> None:
        """Drop all that was not heard."""
        self._withheld_until = None
        now = time.monotonic()
        self._report(now)
        self._unstarted.clear()
        self._note(*map(_heard, self._playout.flush(now)))
        await self._send(SendClear())

    def end(self) -> None:
        """The carrier is gone: tell how far the caller heard."""
        self._withheld_until = None
        now = time.monotonic()
        self._report(now)
        self._unstarted.clear()
        self._tell(ev.PlayoutHeld(tuple(map(_heard, self._playout.pause(now)))))

    async def _send_due(self, now: float) -> None:
        """Adjacent frames go in one message: it costs as much as one of 20 ms, here and in HAProxy."""
        together = b""
        for out in self._playout.pull(now):
            if isinstance(out, Frame):
                together += out.ulaw
                continue
            if together:
                await self._send(SendMedia(together))
                together = b""
            await self._send(SendMark(out.name))
        if together:
            await self._send(SendMedia(together))

    def _report(self, now: float) -> None:
        """Tell what was heard to its end, and what the line got to behind it."""
        for piece in self._playout.finished(now):
            total = self._pieces[piece].total if piece in self._pieces else 1
            self._note(ev.PieceHeard(piece, total, total))
            self._start(piece, total)
            self._tell(ev.PieceFinished(piece))
        self._report_started()

    def _report_started(self) -> None:
        first = next(iter(self._playout.heard(time.monotonic())), None) if self._unstarted else None
        if first is not None and (first.samples or not self._playout.paused):
            self._start(first.piece_id, first.samples)

    def _start(self, piece: str, samples: int) -> None:
        """Tell once that a piece began, of which so many samples were heard by now."""
        if piece in self._unstarted:
            self._unstarted.remove(piece)
            self._tell(ev.PieceStarted(piece, (time.time() - samples / SAMPLE_RATE_HZ) * 1000))

    def _note(self, *heard: ev.PieceHeard) -> None:
        self._pieces |= {item.piece: item for item in heard}
        while len(self._pieces) > MAX_PIECES:
            del self._pieces[next(iter(self._pieces))]


def _heard(item: Heard) -> ev.PieceHeard:
    return ev.PieceHeard(item.piece_id, item.samples, item.total)

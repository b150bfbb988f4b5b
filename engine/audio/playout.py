"""The paced playout clock: what the caller hears of the agent, and when. Sans-I/O, one for a call.

The carrier plays what it is sent, in order, at 8,000 samples a second, and a flush is the shorter the less it
has been sent. So frames leave only a little ahead of real time, and what has been played is computed: a run
begins when a frame is sent to an idle line and lasts as long as what was sent; a line that ran dry (underrun)
starts a new run with its next frame. Transport delay cancels out: what the far end plays until a clear gets
there is what the clock says when the clear is sent.

Marks keep the clock honest. It does not run on into a piece while the mark of the one before has not come
back, because then the far end is later than thought; a mark that comes early counts only when the clock gets
there, because a carrier may echo at once. Marks get lost, so after a grace the clock is believed.

Every piece is accounted for exactly once: by `finished`, or by `flush`, which says how much was heard.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from engine.audio.g711 import SAMPLE_RATE_HZ, ULAW_SILENCE
from engine.errors import ProtocolError

FRAME_SAMPLES = 160
"""20 ms."""

MAX_QUEUED_SAMPLES = 120 * SAMPLE_RATE_HZ
"""An agent that is two minutes ahead of its caller is broken."""

_REFILL_SAMPLES = 3 * FRAME_SAMPLES
"""`next_at` waits until three frames may go: a third of the wake-ups for 60 ms less ahead."""

_SILENCE = bytes((ULAW_SILENCE,))
_REMEMBERED_IDS = 4_096
_ROUNDING_SAMPLES = 0.01
"""A float clock misses a whole sample by less than this; else `next_at` might name a time just too early."""


@dataclass(frozen=True, slots=True)
class Frame:
    """20 ms to send now: 160 bytes of mu-law."""

    ulaw: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark to send now, after the frames before it; `name` comes back through `on_mark`.

    The name is the piece's id, with a suffix where the rest of a piece is sent again after a pause.
    """

    name: str


Out = Frame | Mark


@dataclass(frozen=True, slots=True)
class Heard:
    """How much of a piece the caller has heard: `samples` of `total`."""

    piece_id: str
    samples: int
    total: int


class _Piece:
    """One piece: what of it was sent, where that lies on the line, what of it was heard."""

    __slots__ = ("ended_at", "heard", "id", "line_end", "mark", "mark_back", "resent", "sent", "ulaw")

    def __init__(self, piece_id: str, ulaw: bytes) -> None:
        self.id = piece_id
        self.ulaw = ulaw
        self.sent = 0
        self.heard = 0
        self.resent = 0
        self.line_end: int | None = None
        """Where on the line the part that was sent ends; None where none of it is on the line."""
        self.mark: str | None = None
        """Name of its mark, once that was sent."""
        self.mark_back = False
        self.ended_at: float | None = None
        """When the clock passed its end."""

    def report(self) -> Heard:
        return Heard(self.id, self.heard, len(self.ulaw))


class Playout:
    """Pieces in, frames out, at the pace of the line. `now` is monotonic seconds everywhere."""

    def __init__(self, *, ahead_ms: int = 300, mark_grace_s: float = 1.0) -> None:
        """`mark_grace_s`: how late a mark may be before the clock alone counts; 0 where marks never come."""
        self._ahead = max(ahead_ms * SAMPLE_RATE_HZ // 1_000, FRAME_SAMPLES)
        self._low = max(self._ahead - _REFILL_SAMPLES, (self._ahead - FRAME_SAMPLES) // 2)
        self._grace = mark_grace_s
        self._pieces: deque[_Piece] = deque()
        """Not finished, in order: wholly sent ones, at most one in part, then those that wait."""
        self._finished: deque[str] = deque(maxlen=_REMEMBERED_IDS)
        self._seen: dict[str, None] = {}
        self._waiting = 0
        """Samples enqueued and not sent."""
        self._paused = False
        self._line_sent = 0
        self._run_start = 0
        """Where on the line the present run began, and when."""
        self._run_at = 0.0

    def enqueue(self, piece_id: str, ulaw: bytes, now: float) -> bool:
        """Queue a piece; False, and nothing happens, where its id was seen before (a replay).

        Raises ProtocolError where more than 120 s would wait.
        """
        self._advance(now)
        if piece_id in self._seen:
            return False
        if self._waiting + len(ulaw) > MAX_QUEUED_SAMPLES:
            raise ProtocolError(f"piece {piece_id}: more than 120 s of speech is queued; send less at once")
        self._seen[piece_id] = None
        if len(self._seen) > _REMEMBERED_IDS:
            del self._seen[next(iter(self._seen))]
        self._pieces.append(_Piece(piece_id, ulaw))
        self._waiting += len(ulaw)
        return True

    def pull(self, now: float) -> list[Out]:
        """What to send now, in order, so that at most `ahead_ms` is sent and not played."""
        self._advance(now)
        out: list[Out] = []
        if self._paused:
            return out
        played = self._played(now)
        sending = deque(piece for piece in self._pieces if piece.mark is None)
        while sending and self._line_sent - played + FRAME_SAMPLES <= self._ahead:
            if played == self._line_sent:
                self._start_run(now)
            self._fill(sending, out)
        return out

    def _start_run(self, now: float) -> None:
        # All that was sent is over: when, can only be told by the clock of the run that ends here.
        for piece in self._pieces:
            if piece.mark is not None and piece.line_end is not None and piece.ended_at is None:
                piece.ended_at = self._when(piece.line_end)
        self._run_start, self._run_at = self._line_sent, now

    def _fill(self, sending: deque[_Piece], out: list[Out]) -> None:
        """Take one frame, across pieces where they are short, then the marks of the pieces that it ends."""
        frame = b""
        done: list[Out] = []
        while sending and len(frame) < FRAME_SAMPLES:
            piece = sending[0]
            part = piece.ulaw[piece.sent : piece.sent + FRAME_SAMPLES - len(frame)]
            frame += part
            piece.sent += len(part)
            piece.line_end = self._line_sent + len(frame)
            self._waiting -= len(part)
            if piece.sent == len(piece.ulaw):
                piece.mark = f"{piece.id}~{piece.resent}" if piece.resent else piece.id
                done.append(Mark(piece.mark))
                sending.popleft()
        if frame:
            out.append(Frame(frame.ljust(FRAME_SAMPLES, _SILENCE)))
            self._line_sent += FRAME_SAMPLES
        out.extend(done)

    def next_at(self, now: float) -> float | None:
        """When to call `pull` (and `finished`) again; None: not before `enqueue`, `resume` or a mark."""
        self._advance(now)
        if self._paused or not self._pieces:
            return None
        times = []
        if self._pieces[-1].mark is None:
            times.append(self._when(self._line_sent - self._low) if self._line_sent else now)
        first = self._pieces[0]
        if first.mark is not None and first.line_end is not None:
            end = self._when(first.line_end) if first.ended_at is None else first.ended_at
            times.append(end if first.mark_back else end + self._grace)
        return max(now, min(times))

    def on_mark(self, name: str, now: float) -> None:
        """The carrier played up to the mark `name`; one that was flushed or is unknown does not count."""
        index = next((i for i, piece in enumerate(self._pieces) if piece.mark == name), None)
        if index is not None:
            # A carrier plays in order, so a mark vouches for all before it.
            for piece in list(self._pieces)[: index + 1]:
                piece.mark_back = True
        self._advance(now)

    def flush(self, now: float) -> tuple[Heard, ...]:
        """Drop all that was not heard; the caller of this sends the carrier's clear. Ends a pause.

        Returns every piece that `finished` has not reported and will not.
        """
        self._advance(now)
        dropped = tuple(piece.report() for piece in self._pieces)
        self._pieces.clear()
        self._waiting = 0
        self._paused = False
        self._clear_line()
        return dropped

    def pause(self, now: float) -> tuple[Heard, ...]:
        """Stop and keep what was not heard, for `resume`; the caller of this sends the carrier's clear."""
        self._advance(now)
        while self._pieces and self._pieces[0].ended_at is not None:
            self._finish_first()
        # Where nothing is left to hold nobody would let go of it either, and what comes next is not meant.
        self._paused = bool(self._pieces)
        for piece in self._pieces:
            self._waiting += piece.sent - piece.heard
            # The clear may make the carrier echo the marks that it drops: those names must not count again.
            piece.resent += piece.mark is not None
            piece.sent, piece.mark, piece.mark_back, piece.line_end = piece.heard, None, False, None
        self._clear_line()
        return tuple(piece.report() for piece in self._pieces)

    @property
    def paused(self) -> bool:
        return self._paused

    def resume(self, now: float) -> None:
        """Go on from the first sample that was not heard; without a pause nothing happens."""
        self._advance(now)
        self._paused = False

    def heard(self, now: float) -> tuple[Heard, ...]:
        """How much was heard of each piece that is not finished, in order; never decreasing."""
        self._advance(now)
        return tuple(piece.report() for piece in self._pieces)

    def finished(self, now: float) -> list[str]:
        """Ids of the pieces that were heard to their end since the last call, each reported once."""
        self._advance(now)
        done = list(self._finished)
        self._finished.clear()
        return done

    def idle(self, now: float) -> bool:
        """True when everything was played."""
        self._advance(now)
        return not self._pieces

    def _played(self, now: float) -> int:
        """Samples of the line that the clock says were played."""
        run = int((now - self._run_at) * SAMPLE_RATE_HZ + _ROUNDING_SAMPLES)
        return min(self._line_sent, self._run_start + max(run, 0))

    def _when(self, position: int) -> float:
        return self._run_at + (position - self._run_start) / SAMPLE_RATE_HZ

    def _advance(self, now: float) -> None:
        """Bring what was heard up to `now`: the first piece moves, the next when that is finished."""
        played = self._played(now)
        while self._pieces and (piece := self._pieces[0]).line_end is not None:
            piece.heard = max(piece.heard, min(piece.sent, piece.sent - (piece.line_end - played)))
            if piece.mark is None or played < piece.line_end:
                return
            if piece.ended_at is None:
                piece.ended_at = self._when(piece.line_end)
            if not piece.mark_back and now < piece.ended_at + self._grace:
                return
            self._finish_first()

    def _finish_first(self) -> None:
        self._finished.append(self._pieces.popleft().id)

    def _clear_line(self) -> None:
        self._line_sent = self._run_start = 0

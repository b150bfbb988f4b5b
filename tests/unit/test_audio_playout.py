"""The playout clock against a far end that plays what it is sent, in virtual time."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.audio.g711 import ULAW_SILENCE
from engine.audio.playout import Frame, Heard, Mark, Out, Playout
from engine.errors import ProtocolError

RATE = 8_000


def speech(samples: int, seed: int = 0) -> bytes:
    """Bytes that differ from silence and from their neighbours, so that a lost or repeated one shows."""
    return bytes((seed * 37 + i * 11 + i // 250) % 250 for i in range(samples))


@dataclass
class FarEnd:
    """A carrier without transport delay: plays in order, in real time; echoes a mark when it gets there."""

    queue: deque[Out] = field(default_factory=deque)
    at: float = 0.0
    played: bytearray = field(default_factory=bytearray)
    echoes: list[tuple[float, str]] = field(default_factory=list)

    def take(self, out: list[Out], now: float) -> None:
        self.run(now)
        for item in out:
            if isinstance(item, Frame):
                assert len(item.ulaw) == 160
            self.queue.append(item)
        self.run(now)

    def run(self, now: float) -> None:
        while self.queue:
            first = self.queue[0]
            if isinstance(first, Mark):
                self.echoes.append((self.at, first.name))
                self.queue.popleft()
                continue
            ready = int((now - self.at) * RATE + 0.01)
            part = first.ulaw[:ready]
            self.played += part
            self.at += len(part) / RATE
            self.queue.popleft()
            if len(part) < len(first.ulaw):
                self.queue.appendleft(Frame(first.ulaw[len(part) :]))
                return
        self.at = now

    def clear(self, now: float) -> None:
        self.run(now)
        self.queue.clear()
        self.at = now

    def sound(self) -> bytes:
        """What was played without silence."""
        return bytes(self.played).replace(bytes((ULAW_SILENCE,)), b"")


@dataclass
class Line:
    """A playout driven as an edge drives it, with its far end."""

    playout: Playout = field(default_factory=Playout)
    far: FarEnd = field(default_factory=FarEnd)
    now: float = 100.0
    echo: bool = True
    finished: list[str] = field(default_factory=list)
    most_ahead: int = 0

    def __post_init__(self) -> None:
        self.far.at = self.now

    def marks(self) -> None:
        for _, name in self.far.echoes:
            if self.echo:
                self.playout.on_mark(name, self.now)
        self.far.echoes.clear()

    def serve(self) -> None:
        self.far.run(self.now)
        self.marks()
        self.far.take(self.playout.pull(self.now), self.now)
        self.marks()
        self.finished += self.playout.finished(self.now)
        ahead = sum(len(item.ulaw) for item in self.far.queue if isinstance(item, Frame))
        self.most_ahead = max(self.most_ahead, ahead)

    def until(self, end: float) -> None:
        """Serve whenever the playout asks for it, up to `end`."""
        self.serve()
        while (at := self.playout.next_at(self.now)) is not None and at < end:
            assert at > self.now, "next_at must not ask for a pull that does nothing"
            self.now = at
            self.serve()
        self.now = end
        self.far.run(end)
        self.marks()

    def until_idle(self, limit: float = 300.0) -> None:
        self.until(self.now + limit)
        assert self.playout.idle(self.now)

    def pause(self) -> tuple[Heard, ...]:
        heard = self.playout.pause(self.now)
        self.far.clear(self.now)
        return heard

    def flush(self) -> tuple[Heard, ...]:
        heard = self.playout.flush(self.now)
        self.far.clear(self.now)
        return heard


def test_frames_leave_at_the_pace_of_the_line() -> None:
    line = Line()
    audio = speech(16_000)
    line.playout.enqueue("a", audio, line.now)
    start = line.now
    line.until(start + 1.0)
    assert line.most_ahead == 2_400
    assert [h.samples for h in line.playout.heard(line.now)] == [8_000]
    assert 0.9 * 8_000 <= len(line.far.played) <= 8_000
    line.until(start + 2.0)
    assert line.far.sound() == audio
    assert line.playout.finished(line.now) == ["a"]


def test_nothing_to_do_until_something_is_queued() -> None:
    playout = Playout()
    assert playout.next_at(1.0) is None
    assert playout.pull(1.0) == []
    assert playout.idle(1.0)
    playout.enqueue("a", speech(160), 2.0)
    assert playout.next_at(2.0) == 2.0
    assert not playout.idle(2.0)


def test_a_short_end_is_continued_by_the_next_piece() -> None:
    playout = Playout()
    a, b = speech(200, 1), speech(100, 2)
    playout.enqueue("a", a, 0.0)
    playout.enqueue("b", b, 0.0)
    out = playout.pull(0.0)
    assert out == [Frame(a[:160]), Frame((a[160:] + b).ljust(160, b"\xff")), Mark("a"), Mark("b")]


def test_a_short_end_alone_is_padded() -> None:
    playout = Playout()
    playout.enqueue("a", speech(200), 0.0)
    assert playout.pull(0.0) == [Frame(speech(160)), Frame(speech(200)[160:].ljust(160, b"\xff")), Mark("a")]
    playout.enqueue("b", speech(160), 0.0)
    assert playout.pull(0.0) == [Frame(speech(160)), Mark("b")]


def test_an_empty_piece_is_only_a_mark() -> None:
    line = Line()
    line.playout.enqueue("empty", b"", line.now)
    line.playout.enqueue("a", speech(160), line.now)
    line.playout.enqueue("empty too", b"", line.now)
    line.until_idle()
    assert line.finished == ["empty", "a", "empty too"]


def test_an_id_seen_before_is_ignored() -> None:
    line = Line()
    assert line.playout.enqueue("a", speech(160), line.now)
    assert not line.playout.enqueue("a", speech(800), line.now)
    line.until_idle()
    assert not line.playout.enqueue("a", speech(160), line.now)
    assert line.far.sound() == speech(160)


def test_the_queue_is_bounded_and_a_refused_piece_may_come_again() -> None:
    playout = Playout()
    playout.enqueue("long", speech(119 * RATE), 0.0)
    with pytest.raises(ProtocolError, match="120 s"):
        playout.enqueue("more", speech(2 * RATE), 0.0)
    playout.flush(0.0)
    assert playout.enqueue("more", speech(2 * RATE), 0.0)


def test_a_pause_gives_what_was_sent_in_vain_back_to_the_bound() -> None:
    playout = Playout()
    for name in ("a", "b"):
        playout.enqueue(name, speech(2_400), 0.0)
    playout.pull(0.0)
    playout.pause(0.1)
    with pytest.raises(ProtocolError, match="120 s"):
        playout.enqueue("long", speech(120 * RATE - 4_000 + 1), 0.1)
    assert playout.enqueue("fits", speech(120 * RATE - 4_000), 0.1)


def test_heard_never_decreases_even_where_time_does() -> None:
    playout = Playout()
    playout.enqueue("a", speech(1_600), 5.0)
    playout.pull(5.0)
    assert playout.heard(5.1) == (Heard("a", 800, 1_600),)
    assert playout.heard(5.05) == (Heard("a", 800, 1_600),)


def test_an_underrun_restarts_the_clock() -> None:
    line = Line()
    line.playout.enqueue("a", speech(1_600, 1), line.now)
    line.until(line.now + 5.0)
    line.playout.enqueue("b", speech(1_600, 2), line.now)
    line.until(line.now + 0.1)
    assert line.playout.heard(line.now) == (Heard("b", 800, 1_600),)


def test_a_stalled_caller_makes_an_underrun_in_mid_piece() -> None:
    line = Line()
    line.playout.enqueue("a", speech(8_000), line.now)
    line.serve()
    line.now += 2.0
    line.far.run(line.now)
    assert line.playout.heard(line.now) == (Heard("a", 2_400, 8_000),)
    line.serve()
    line.now += 0.05
    assert line.playout.heard(line.now) == (Heard("a", 2_800, 8_000),)


def test_lost_marks_delay_the_next_piece_by_the_grace_and_no_more() -> None:
    line = Line(echo=False)
    for name in ("a", "b"):
        line.playout.enqueue(name, speech(8_000), line.now)
    start = line.now
    line.until(start + 1.5)
    assert [h.samples for h in line.playout.heard(line.now)] == [8_000, 0]
    line.until(start + 1.9999)
    assert line.finished == []
    line.until(start + 2.0001)
    assert line.finished == ["a"]
    assert line.playout.heard(line.now) == (Heard("b", 8_000, 8_000),)
    line.until(start + 3.1)
    assert line.playout.idle(line.now)


def test_the_grace_of_a_lost_mark_is_not_lengthened_by_an_underrun() -> None:
    line = Line(echo=False)
    start = line.now
    line.playout.enqueue("a", speech(160), start)
    line.playout.enqueue("b", speech(160), start)
    line.until(start + 0.9)
    line.playout.enqueue("c", speech(4_000), line.now)
    line.until(start + 1.1)
    assert line.playout.heard(line.now) == (Heard("c", 1_600, 4_000),)


def test_a_carrier_without_marks_goes_by_the_clock() -> None:
    line = Line(playout=Playout(mark_grace_s=0.0), echo=False)
    start = line.now
    for name in ("a", "b"):
        line.playout.enqueue(name, speech(8_000), start)
    line.until(start + 1.25)
    assert line.finished == ["a"]
    assert line.playout.heard(line.now) == (Heard("b", 2_000, 8_000),)


def test_a_mark_before_its_time_does_not_count_until_then() -> None:
    playout = Playout()
    playout.enqueue("a", speech(1_600), 0.0)
    playout.pull(0.0)
    playout.on_mark("a", 0.01)
    assert playout.finished(0.1) == []
    assert playout.next_at(0.1) == pytest.approx(0.2)
    assert playout.finished(0.2) == ["a"]


def test_a_mark_vouches_for_the_pieces_before_it() -> None:
    playout = Playout()
    playout.enqueue("a", speech(800), 0.0)
    playout.enqueue("b", speech(800), 0.0)
    playout.pull(0.0)
    playout.on_mark("b", 0.2)
    assert playout.finished(0.2) == ["a", "b"]


def test_flush_in_mid_piece_cuts_there_and_late_echoes_do_not_count() -> None:
    line = Line()
    for name in ("a", "b", "c"):
        line.playout.enqueue(name, speech(4_000), line.now)
    line.until(line.now + 0.75)
    finished = line.finished + line.playout.finished(line.now)
    assert finished == ["a"]
    assert line.flush() == (Heard("b", 2_000, 4_000), Heard("c", 0, 4_000))
    assert line.playout.idle(line.now)
    line.playout.on_mark("b", line.now)
    line.playout.on_mark("c", line.now)
    assert line.playout.finished(line.now + 9) == []
    line.playout.enqueue("d", speech(160, 4), line.now)
    line.until_idle()
    assert line.far.sound() == speech(4_000) + speech(2_000) + speech(160, 4)


def test_pause_and_resume_lose_and_repeat_nothing() -> None:
    line = Line()
    pieces = {name: speech(2_999, i) for i, name in enumerate("abcd")}
    for name, audio in pieces.items():
        line.playout.enqueue(name, audio, line.now)
    for wait in (0.1, 0.3, 0.41, 0.2):
        line.until(line.now + wait)
        stale = [item.name for item in line.far.queue if isinstance(item, Mark)]
        heard = line.pause()
        assert line.pause() == heard
        for name in stale:
            line.playout.on_mark(name, line.now)
        assert line.playout.pull(line.now) == []
        assert line.playout.next_at(line.now) is None
        line.now += 1.0
        line.far.run(line.now)
        assert line.playout.heard(line.now) == heard
        line.playout.resume(line.now)
    line.until_idle()
    assert line.far.sound() == b"".join(pieces.values())
    assert line.finished == list("abcd")


def test_the_echo_of_a_cleared_mark_does_not_finish_the_piece_sent_again() -> None:
    playout = Playout()
    playout.enqueue("a", speech(800), 0.0)
    assert Mark("a") in playout.pull(0.0)
    playout.pause(0.05)
    playout.resume(1.0)
    assert playout.pull(1.0)[-1] == Mark("a~1")
    playout.on_mark("a", 1.0)
    assert playout.finished(1.06) == []
    playout.on_mark("a~1", 1.06)
    assert playout.finished(1.06) == ["a"]


def test_a_pause_with_nothing_left_to_hold_is_none() -> None:
    playout = Playout()
    playout.enqueue("a", speech(160), 0.0)
    assert playout.pull(0.0)
    assert not playout.idle(0.5), "its mark is not back"
    assert playout.pause(0.5) == ()
    assert not playout.paused
    playout.enqueue("b", speech(160), 0.6)
    assert [item for item in playout.pull(0.6) if isinstance(item, Frame)]


def test_flush_ends_a_pause() -> None:
    line = Line()
    line.playout.enqueue("a", speech(4_000), line.now)
    line.until(line.now + 0.1)
    line.pause()
    assert line.flush() == (Heard("a", 800, 4_000),)
    line.playout.enqueue("b", speech(160, 2), line.now)
    line.until_idle()
    assert line.far.sound() == speech(800) + speech(160, 2)


Step = tuple[str, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["enqueue", "pull", "serve", "serve", "flush", "pause", "resume"]),
        st.integers(0, 9_000).map(lambda n: n / RATE),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, sizes=st.lists(st.integers(0, 9_000), min_size=1, max_size=6))
def test_what_is_reported_heard_is_what_the_far_end_played(steps: list[Step], sizes: list[int]) -> None:
    line, lengths, names = Line(), itertools.cycle(sizes), itertools.count()
    audio: dict[str, bytes] = {}
    expected = bytearray()
    """What the far end should have played of the pieces that are accounted for."""
    last: dict[str, int] = {}

    def check() -> None:
        line.marks()
        for name in line.finished + line.playout.finished(line.now):
            expected.extend(audio[name])
            last.pop(name, None)
        line.finished.clear()
        held = line.playout.heard(line.now)
        for piece in held:
            assert piece.samples >= last.get(piece.piece_id, 0)
            last[piece.piece_id] = piece.samples
        now_heard = bytes(expected) + b"".join(audio[h.piece_id][: h.samples] for h in held)
        played = line.far.sound()
        assert abs(len(played) - len(now_heard)) <= 160
        shorter = min(len(played), len(now_heard))
        assert played[:shorter] == now_heard[:shorter]

    for action, wait in steps:
        match action:
            case "enqueue":
                name = f"p{next(names)}"
                audio[name] = speech(next(lengths), len(audio))
                line.playout.enqueue(name, audio[name], line.now)
            case "pull":
                line.far.take(line.playout.pull(line.now), line.now)
            case "serve":
                line.until(line.now + wait)
            case "pause":
                line.pause()
            case "resume":
                line.playout.resume(line.now)
            case "flush":
                check()
                for dropped in line.flush():
                    expected.extend(audio[dropped.piece_id][: dropped.samples])
                # Where two pieces share a frame, the second counts once the mark of the first is back, which
                # is at the end of the frame: what a flush leaves uncounted is less than one, and stays so.
                played = line.far.sound()
                assert abs(len(played) - len(expected)) <= 160
                expected[:] = played
        line.now += wait if action == "pull" else 0.0
        line.far.run(line.now)
        check()
        assert line.most_ahead <= 2_400


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, delay=st.floats(0.0, 0.4))
def test_with_late_marks_no_more_is_reported_than_was_played(steps: list[Step], delay: float) -> None:
    """The memory of the agent may lack a word that was just heard, never hold one that was not."""
    line, names = Line(echo=False), itertools.count()
    total = 0
    late: list[tuple[float, str]] = []
    for action, wait in steps:
        if action == "enqueue":
            line.playout.enqueue(f"p{next(names)}", speech(3_000), line.now)
        end = line.now + wait
        while line.now < end:
            line.now = min(end, line.now + 0.05)
            line.far.run(line.now)
            late += line.far.echoes
            line.far.echoes.clear()
            for at, name in [echo for echo in late if echo[0] + delay <= line.now]:
                line.playout.on_mark(name, line.now)
                late.remove((at, name))
            line.far.take(line.playout.pull(line.now), line.now)
        total += 3_000 * len(line.playout.finished(line.now))
        held = sum(h.samples for h in line.playout.heard(line.now))
        assert total + held <= len(line.far.sound()) + 1

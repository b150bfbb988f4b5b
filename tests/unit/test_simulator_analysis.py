"""Voice to voice and the rest, from tapes whose every frame is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.audio import g711
from engine.simulator.analysis import CallRecord, TurnResult, Utterance, analyse
from engine.simulator.carrier import Cleared, Received
from engine.simulator.events import AgentPiece, Event, TurnDone, UserTurn
from engine.simulator.tape import FRAME_BYTES, SILENCE, Frame, Said, Tape, loud, loud_frames
from tests.unit.simulator_agent import tone

LOUD = g711.pcm_to_ulaw(tone(20))
QUESTION = Utterance("q", np.zeros(0, np.int16), "When do you open?")
EMPTY: NDArray[np.int16] = np.zeros(0, np.int16)


def tape(caller: str, agent: str) -> Tape:
    """One character a frame: `#` loud, `.` quiet, and for the agent ` ` nothing to play."""
    made, position = Tape(), 0
    for n, (left, right) in enumerate(zip(caller, agent.ljust(len(caller)), strict=True)):
        audible = right != " "
        frame = Frame(
            at=n * 0.02,
            caller=LOUD if left == "#" else SILENCE,
            caller_loud=left == "#",
            agent=LOUD if right == "#" else SILENCE,
            position=position if audible else -1,
            received_at=n * 0.02 - 0.005 if audible else math.nan,
        )
        position += FRAME_BYTES * audible
        made.add(frame)
    return made


def received(tick: float, frames: int, event: Event) -> Received:
    """An event that came at `tick`, after `frames` frames of audio."""
    return Received(tick * 0.02, frames * FRAME_BYTES, event)


def piece(turn: int, kind: str = "reply", ms: float | None = None) -> AgentPiece:
    return AgentPiece(turn, 0, f"{kind}.", kind, ms)


def one(record: CallRecord, start: int, end: int) -> TurnResult:
    last = max(n for n in range(start, end) if record.tape[n].caller_loud)
    (result,) = analyse(record, [(QUESTION, Said(start, end, last))])
    return result


def test_from_the_last_loud_frame_to_the_first_loud_one_of_the_answer() -> None:
    made = tape(
        "..###..............",
        "           ..####..",
    )
    events = [received(6, 0, UserTurn(1, "when do you open")), received(8, 0, piece(1))]
    result = one(CallRecord(made, [*events, received(17, 8, TurnDone(1, stamps={"pause": 1.0}))]), 2, 7)
    assert result.voice_to_voice_ms == pytest.approx(180)  # tick 4 to tick 13
    assert result.received_ms == pytest.approx(175)
    assert result.heard_as == "when do you open"
    assert result.reply == "reply."
    assert result.answer == LOUD * 4
    assert [done.stamps for done in result.done] == [{"pause": 1.0}]


def test_a_filler_is_no_answer_even_when_the_answer_follows_without_a_gap() -> None:
    made = tape("##" + "." * 18, "     ######")
    events = [received(4, 0, piece(1, "filler", 60)), received(5, 0, piece(1, "reply", 60))]
    assert one(CallRecord(made, events), 0, 2).voice_to_voice_ms == pytest.approx(140)  # tick 1 to tick 8


def test_a_filler_of_unknown_length_ends_at_the_next_pause() -> None:
    made = tape("##" + "." * 30, "     ###..........###")
    events = [received(4, 0, piece(1, "filler")), received(5, 0, piece(1, "reply"))]
    assert one(CallRecord(made, events), 0, 2).voice_to_voice_ms == pytest.approx(340)  # tick 1 to tick 18


@pytest.mark.parametrize("kind", ["filler", "greeting", "apology"])
def test_what_is_not_an_answer_leaves_the_question_unanswered(kind: str) -> None:
    made = tape("##" + "." * 10, "     ####")
    result = one(CallRecord(made, [received(4, 0, piece(1, kind))]), 0, 2)
    assert not result.answered
    assert result.answer == b""
    assert result.kinds == [kind]


def test_an_answer_that_began_before_the_question_was_over_does_not_count_but_a_new_one_does() -> None:
    made = tape("####.####" + "." * 12, "     ###      ###")
    early, late = received(4, 0, piece(1)), received(12, 3, piece(2))
    only_early = one(CallRecord(made, [early]), 0, 9)
    assert (only_early.answered, only_early.talk_over_ms) == (False, 60)
    assert one(CallRecord(made, [early, late]), 0, 9).voice_to_voice_ms == pytest.approx(120)  # 8 to 14


def test_audio_that_was_thrown_away_does_not_push_the_next_piece_back() -> None:
    made = tape("##" + "." * 20, "  ##     ###")
    filler, answer = received(1, 0, piece(1, "filler", 2_000)), received(8, 2, piece(1))
    cleared = [Cleared(events=1, position=2 * FRAME_BYTES)]
    assert one(CallRecord(made, [filler, answer], cleared), 0, 2).voice_to_voice_ms == pytest.approx(160)
    assert not one(CallRecord(made, [filler, answer]), 0, 2).answered


def test_without_events_the_first_new_speech_counts() -> None:
    made = tape("######" + "." * 24, "   ####             ###")
    assert one(CallRecord(made), 0, 6).voice_to_voice_ms == pytest.approx(300)  # tick 5 to tick 20


def test_each_question_gets_what_came_before_the_next() -> None:
    made = tape("##........##........", "    ###       ###   ")
    events = [received(3, 0, piece(1)), received(13, 3, piece(2))]
    script = [(QUESTION, Said(0, 2, 1)), (QUESTION, Said(10, 12, 11))]
    times = [result.voice_to_voice_ms for result in analyse(CallRecord(made, events), script)]
    assert times == [pytest.approx(60), pytest.approx(60)]


def test_a_late_answer_to_the_last_question_does_not_answer_the_next() -> None:
    made = tape("##........##........", "            ###     ")
    script = [(QUESTION, Said(0, 2, 1)), (QUESTION, Said(10, 12, 11))]
    results = analyse(CallRecord(made, [received(9, 0, piece(1))]), script)
    assert [result.answered for result in results] == [False, False]


def test_gaps_are_speech_that_starves_for_up_to_200_ms() -> None:
    made = tape("#" + "." * 60, "  ## ##..##" + " " * 11 + "## ..##")
    assert one(CallRecord(made), 0, 1).gaps == 1


def test_loudness_is_minus_40_dbfs_over_a_frame() -> None:
    quiet, just_loud = tone(20, peak=400), tone(20, peak=550)  # 283 and 389 RMS; the threshold is 327.7
    assert (loud(g711.pcm_to_ulaw(quiet)), loud(g711.pcm_to_ulaw(just_loud))) == (False, True)
    assert loud_frames(np.concatenate([quiet, just_loud, just_loud[:10]])) == [False, True, False]
    assert loud_frames(EMPTY) == []


def test_the_recording_has_the_caller_left_and_the_agent_right() -> None:
    stereo = tape("#.", " #").stereo()
    assert stereo.shape == (2 * FRAME_BYTES, 2)
    assert np.abs(stereo[:FRAME_BYTES]).max(axis=0).tolist() == [7932, 0]
    assert np.abs(stereo[FRAME_BYTES:]).max(axis=0).tolist() == [0, 7932]


def test_lateness_is_against_the_schedule_of_the_first_tick() -> None:
    made = Tape()
    for at in (5.0, 5.02, 5.055, 5.06):
        made.add(Frame(at, SILENCE, False, SILENCE, -1, math.nan))
    assert made.lateness_ms() == pytest.approx([0, 0, 15, 0], abs=1e-6)

"""How busy somebody is, told from how long the work takes."""

from __future__ import annotations

import pytest

from engine.dialog.speculation import LATE_MS, SETTLED_MS, Speculation
from engine.providers.pace import Load, Pace


def test_work_that_takes_about_as_long_as_the_quickest_is_no_load() -> None:
    pace = Pace()
    assert [pace.load(ms) for ms in (100, 90, 150, 180, 270)] == [1, 1, 1, 2, 3]


def test_one_slow_piece_of_work_is_no_load_and_many_are() -> None:
    load = Load()
    assert load.note(0.1, 0.1, now=0) == 1
    assert load.note(0.2, 0.1, now=0.5) < 1.6
    assert [load.note(0.3, 0.1, now=1 + n / 2) for n in range(20)][-1] == pytest.approx(3, abs=0.01)
    assert [load.note(0.1, 0.1, now=11 + n / 2) for n in range(20)][-1] == pytest.approx(1, abs=0.01)


def test_load_of_an_hour_ago_is_none() -> None:
    load = Load()
    for n in range(10):
        load.note(0.5, 0.1, now=n)
    assert load.note(0.1, 0.1, now=3600) == pytest.approx(1)


def test_what_hung_once_is_soon_forgotten() -> None:
    load = Load()
    load.note(0.1, 0.1, now=0)
    load.note(20.0, 0.1, now=1)
    assert [load.note(0.1, 0.1, now=2 + n) for n in range(2)][-1] < 1.6


def test_what_took_next_to_no_time_says_nothing() -> None:
    load = Load()
    assert load.note(0.03, 0.0, now=0) == 1
    assert load.note(0.03, 0.0001, now=1) == 1


@pytest.mark.parametrize(("load", "wait_ms"), [(1.0, 0.0), (2.0, SETTLED_MS), (3.5, LATE_MS)])
def test_a_call_hears_of_the_load_from_who_transcribes(load: float, wait_ms: float) -> None:
    speculation = Speculation()
    speculation.transcribed(400, load)
    assert speculation.wait_ms == wait_ms
    speculation.transcribed(400, 1.0)
    assert speculation.wait_ms == 0.0


def test_a_provider_that_does_not_tell_is_judged_by_the_calls_own_transcripts() -> None:
    speculation = Speculation()
    speculation.transcribed(100)
    speculation.transcribed(400)
    assert speculation.wait_ms == 0.0, "one alone may have been decoded twice"
    speculation.transcribed(400)
    assert speculation.wait_ms == LATE_MS

"""How busy somebody is, told from how long the work takes."""

from __future__ import annotations

import pytest

from engine.dialog.speculation import LATE_MS, SETTLED_MS, Speculation
from engine.providers.pace import Pace


def test_work_that_takes_about_as_long_as_the_quickest_is_no_load() -> None:
    pace = Pace()
    assert [pace.load(ms) for ms in (100, 90, 150, 180, 270)] == [1, 1, 1, 2, 3]


def test_the_quickest_of_a_replicas_life_is_quicker_than_usual() -> None:
    pace = Pace(usual=1.5)
    assert [pace.load(ms) for ms in (80, 120, 180, 240, 360)] == [1, 1, 1, 2, 3]


@pytest.mark.parametrize(("load", "wait_ms"), [(1.0, 0.0), (2.0, SETTLED_MS), (3.5, LATE_MS)])
def test_a_call_that_began_under_load_hears_of_it_from_who_transcribes(load: float, wait_ms: float) -> None:
    speculation = Speculation()
    speculation.transcribed(400, load)
    assert speculation.wait_ms == 0.0, "one alone may have been decoded twice"
    speculation.transcribed(400, load)
    assert speculation.wait_ms == wait_ms

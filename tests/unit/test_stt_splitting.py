"""Long audio is cut where it is quiet, and nothing is lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.providers.stt.splitting import quietest, split

RATE_HZ = 1_000


def _noise(seconds: float) -> NDArray[np.float32]:
    samples = np.random.default_rng(1).standard_normal(int(seconds * RATE_HZ))
    return samples.astype(np.float32) * np.float32(0.2)


@settings(max_examples=30)
@given(st.floats(0, 130), st.floats(3, 28))
def test_pieces_are_short_enough_and_join_to_the_whole(seconds: float, longest_s: float) -> None:
    samples = _noise(seconds)
    pieces = split(samples, RATE_HZ, longest_s=longest_s)
    np.testing.assert_array_equal(np.concatenate(pieces), samples)
    assert all(len(piece) <= longest_s * RATE_HZ for piece in pieces)
    assert all(len(piece) >= 0.1 * RATE_HZ for piece in pieces[1:])


def test_short_audio_stays_whole() -> None:
    assert len(split(_noise(27.9), RATE_HZ)) == 1
    assert [len(piece) for piece in split(_noise(0), RATE_HZ)] == [0]


@pytest.mark.parametrize("pause_s", [12.0, 20.3, 27.0])
def test_the_cut_falls_into_the_pause(pause_s: float) -> None:
    samples = _noise(40)
    samples[int(pause_s * RATE_HZ) : int((pause_s + 0.5) * RATE_HZ)] *= np.float32(0.01)
    first, second = split(samples, RATE_HZ)
    assert pause_s < len(first) / RATE_HZ < pause_s + 0.5
    assert len(first) + len(second) == len(samples)


def test_of_equally_quiet_places_the_last_is_taken() -> None:
    assert quietest(np.zeros(RATE_HZ, np.float32), RATE_HZ) == RATE_HZ - 100

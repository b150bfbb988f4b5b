"""Cut long audio at quiet places, so that every piece fits Whisper's window and no sample is lost."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LONGEST_PIECE_S = 28.0
"""Whisper sees 30 s; the rest is silence after the last word, without which it drops that word."""

SHORTEST_PIECE_S = 10.0
_WINDOW_S = 0.2
_STEP_S = 0.02


def quietest(samples: NDArray[np.float32], rate_hz: int) -> int:
    """The sample in the middle of the quietest 200 ms of `samples`, the last such place when several tie."""
    window, step = int(_WINDOW_S * rate_hz), int(_STEP_S * rate_hz)
    if len(samples) <= window:
        return len(samples) // 2
    energy = np.concatenate(([0.0], np.cumsum(np.square(samples, dtype=np.float64))))
    starts = np.arange(0, len(samples) - window + 1, step)
    loudness = energy[starts + window] - energy[starts]
    best = len(starts) - 1 - int(np.argmin(loudness[::-1]))
    return int(starts[best]) + window // 2


def split(
    samples: NDArray[np.float32], rate_hz: int, *, longest_s: float = LONGEST_PIECE_S
) -> list[NDArray[np.float32]]:
    """`samples` (mono) as consecutive pieces of at most `longest_s`; joined they are the input again.

    Each cut lies at the quietest point between SHORTEST_PIECE_S (or a third of `longest_s`) and `longest_s`.
    """
    longest = int(longest_s * rate_hz)
    earliest = int(min(SHORTEST_PIECE_S, longest_s / 3) * rate_hz)
    pieces: list[NDArray[np.float32]] = []
    rest = samples
    while len(rest) > longest:
        cut = earliest + quietest(rest[earliest:longest], rate_hz)
        pieces.append(rest[:cut])
        rest = rest[cut:]
    pieces.append(rest)
    return pieces

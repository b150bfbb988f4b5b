"""Pauses within a sentence: people stop to think in the middle of what they say.

Pure functions over PCM (int16, 8,000 Hz, shape (n,)).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.simulator.tape import FRAME_BYTES, loud_frames

_HZ = 8_000
_SEARCH_S = 0.15
"""How far from the wanted point a quieter one is looked for, to each side."""
_WINDOW = 160
"""Loudness is averaged over 20 ms: the gap between words, not the zero crossing of a vowel."""
_RAMP = 40
"""5 ms from the last sample down to silence, and from silence up to the next: no click at the cut."""


def speech_bounds(pcm: NDArray[np.int16]) -> tuple[int, int]:
    """First sample of the first loud frame and the one behind the last; (0, len) where none is loud."""
    loud = [index for index, is_loud in enumerate(loud_frames(pcm)) if is_loud]
    if not loud:
        return 0, len(pcm)
    return loud[0] * FRAME_BYTES, min((loud[-1] + 1) * FRAME_BYTES, len(pcm))


def quiet_point(pcm: NDArray[np.int16], fraction: float) -> int:
    """The quietest sample near `fraction` (0 to 1) of the speech: within 150 ms, and within the speech."""
    start, end = speech_bounds(pcm)
    wanted, reach = start + fraction * (end - start), _SEARCH_S * _HZ
    first, last = max(start, round(wanted - reach)), min(end, round(wanted + reach))
    if last <= first:
        return first
    power = np.convolve(pcm.astype(np.float64) ** 2, np.ones(_WINDOW) / _WINDOW, mode="same")
    return first + int(np.argmin(power[first:last]))


def insert_pause(pcm: NDArray[np.int16], at: int, pause_ms: int) -> NDArray[np.int16]:
    """The same samples, all of them, with `pause_ms` of silence before sample `at`.

    The silence begins and ends with a ramp of 5 ms from and to its neighbours, which it has room for.
    """
    gap = np.zeros(pause_ms * _HZ // 1000)
    ramp = np.linspace(0.0, 1.0, min(_RAMP, len(gap) // 2), endpoint=False)
    if 0 < at < len(pcm) and len(ramp):
        gap[: len(ramp)] = pcm[at - 1] * ramp[::-1]
        gap[-len(ramp) :] = pcm[at] * ramp
    return np.concatenate([pcm[:at], np.rint(gap).astype(np.int16), pcm[at:]])

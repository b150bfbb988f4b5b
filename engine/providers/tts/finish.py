"""A voice's raw output -> a piece ready for the telephone: trimmed, levelled, resampled, mu-law.

Pieces are played one after another without a gap of the player's own, so the pause between them is made
here: next to none in front, and behind as long as the punctuation asks for.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.audio.g711 import SAMPLE_RATE_HZ, pcm_to_ulaw
from engine.audio.resample import resample

LEAD_MS = 10
CLAUSE_TAIL_MS = 60
SENTENCE_TAIL_MS = 100
SENTENCE_GAP_MS = 200
"""Between two sentences of one piece."""
TARGET_DBFS = -20.0
"""RMS of the parts that are speech: what carriers mix well with other calls."""
PEAK = 0.84
"""-1.5 dBFS: mu-law clips at full scale, and resampling overshoots a little."""
MAX_GAIN = 8.0

_FRAME = SAMPLE_RATE_HZ * 5 // 1000
_SILENCE_DBFS = -50.0
_FADE_MS = 4


def finish(sentences: Sequence[NDArray[np.float32]], rate_hz: int, text: str) -> bytes:
    """One piece from its sentences' samples (-1 to 1, shape (n,), at `rate_hz`); b'' when all is silent.

    `text` is what was spoken: its last sign sets the silence at the end.
    """
    spoken = [_trim(_level(_to_telephone(samples, rate_hz))) for samples in sentences]
    spoken = [samples for samples in spoken if samples.size]
    if not spoken:
        return b""
    gap = np.zeros(_samples(SENTENCE_GAP_MS), np.float32)
    parts = [part for samples in spoken for part in (samples, gap)][:-1]
    ends = text.rstrip().rstrip("\"'”’)]")[-1:] in tuple(".!?…。！？")
    parts.append(np.zeros(_samples(SENTENCE_TAIL_MS if ends else CLAUSE_TAIL_MS), np.float32))
    return pcm_to_ulaw(np.rint(np.concatenate(parts) * 32_767).astype(np.int16))


def _to_telephone(samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
    """To 8,000 Hz by way of int16 with the peak set, so that quantising costs nothing audible."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak < 1e-4:
        return np.zeros(0, np.float32)
    pcm = np.rint(samples * (PEAK * 32_767 / peak)).astype(np.int16)
    return resample(pcm, rate_hz, SAMPLE_RATE_HZ).astype(np.float32) * np.float32(peak / PEAK / 32_768)


def _level(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Speech at TARGET_DBFS, or as near to it as its peaks allow."""
    power = _frame_power(samples)
    active = power[power > _power(_SILENCE_DBFS)]
    if not active.size:
        return np.zeros(0, np.float32)
    # Quiet sounds and pauses between words say little about how loud a voice is.
    loud = active[active > active.max() * 1e-3]
    gain = float(np.sqrt(_power(TARGET_DBFS) / loud.mean()))
    peak = float(np.abs(samples).max())
    return samples * np.float32(min(gain, PEAK / peak, MAX_GAIN))


def _trim(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """From LEAD_MS before the first sound to the end of the last one, faded at both ends."""
    loud = np.flatnonzero(_frame_power(samples) > _power(_SILENCE_DBFS))
    if not loud.size:
        return np.zeros(0, np.float32)
    start = max(0, int(loud[0]) * _FRAME - _samples(LEAD_MS) + _FRAME)
    end = min(samples.size, (int(loud[-1]) + 2) * _FRAME)
    piece = samples[start:end].copy()
    fade = min(_samples(_FADE_MS), piece.size // 2)
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    piece[:fade] *= ramp
    piece[piece.size - fade :] *= ramp[::-1]
    return piece


def _frame_power(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean square of each whole frame of 5 ms."""
    frames = samples[: samples.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    power: NDArray[np.float32] = np.mean(np.square(frames), axis=1)
    return power


def _power(dbfs: float) -> float:
    return float(10 ** (dbfs / 10))


def _samples(ms: int) -> int:
    return SAMPLE_RATE_HZ * ms // 1000

"""A voice's raw output -> a piece ready for the telephone: trimmed, levelled, resampled, mu-law.

Pieces are played one after another without a gap of the player's own, so the pause between them is made
here: next to none in front, and behind as long as the punctuation asks for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.audio.g711 import SAMPLE_RATE_HZ, ULAW_SILENCE, pcm_to_ulaw
from engine.audio.playout import FRAME_SAMPLES
from engine.audio.resample import FloatResampler

LEAD_MS = 10
CLAUSE_TAIL_MS = 60
SENTENCE_TAIL_MS = 100
SENTENCE_GAP_MS = 200
"""Between two sentences of one piece."""
TARGET_DBFS = -20.0
"""RMS of the parts that are speech: what carriers mix well with other calls."""
PEAK = 0.84
"""-1.5 dBFS: no sample comes out louder, so that mu-law never clips."""
MAX_GAIN = 8.0

_FRAME = SAMPLE_RATE_HZ * 5 // 1000
_SILENCE_DBFS = -50.0
_FADE_MS = 4
_KNEE = 0.6
"""Samples above it are bent so that they stay under PEAK."""
_MEASURED_FRAMES = 40
"""200 ms of sound say how loud a voice is, while nothing else does."""
_REMEMBERED_FRAMES = 4_000
"""20 s of a voice's loud sound: what comes anew moves the estimate by its share of them."""


class Level:
    """How loud a voice is, learned from what it has said: one for each voice, kept from piece to piece.

    Pieces may be finished at the same time, also in several threads: one may then go unlearned.
    """

    def __init__(self) -> None:
        self._power, self._frames = 0.0, 0

    @property
    def gain(self) -> float | None:
        """By what the voice comes to TARGET_DBFS; None as long as too little of it is known."""
        return _gain(self._power) if self._frames >= _MEASURED_FRAMES else None

    def learn(self, powers: NDArray[np.float32]) -> None:
        """`powers`: mean squares of the frames of a piece, before any gain."""
        loud = _loud(powers)
        if not loud.size:
            return
        known, new = min(self._frames, _REMEMBERED_FRAMES), loud.size
        self._power = (self._power * known + float(loud.sum())) / (known + new)
        self._frames = known + new


class Finisher:
    """One piece, as its samples come. However they are split, what is returned is the same in sum.

    A frame (5 ms) is a sound when it is louder than -50 dBFS. Sound is given out once more sound has
    followed, so that the silence behind the last one can be dropped; resampling keeps back 15 to 80 ms more.
    The gain is that of the voice's earlier pieces and stays the same for the whole piece. Before any are
    known it is measured on the first 200 ms of sound, which are kept back for that.
    """

    def __init__(self, rate_hz: int, text: str, level: Level) -> None:
        """Samples come at `rate_hz`; the last sign of `text` sets the silence at the end."""
        self._resampler = FloatResampler(rate_hz, SAMPLE_RATE_HZ)
        ends = text.rstrip().rstrip("\"'”’)]")[-1:] in tuple(".!?…。！？")
        self._tail = _silence(SENTENCE_TAIL_MS if ends else CLAUSE_TAIL_MS)
        self._level = level
        self._gain = level.gain
        self._held = np.zeros(0, np.float32)
        """From a frame's beginning on: what may still turn out to be silence at an edge of the sentence."""
        self._sounds = False
        """Whether a sound of this sentence has come; `_held` begins with its last one then."""
        self._begins = True
        """Whether nothing of this sentence has been given out."""
        self._length = 0
        """How much of the piece has been given out."""
        self._powers: list[NDArray[np.float32]] = []

    def push(self, samples: NDArray[np.float32]) -> bytes:
        """Samples -1 to 1, shape (n,), any n; returns mu-law that may be played now, often b''."""
        self._held = np.concatenate((self._held, self._resampler.push(samples)))
        return self._settled()

    def next_sentence(self) -> bytes:
        """The next samples are another sentence of the same piece; returns what is left of the one before."""
        self._held = np.concatenate((self._held, self._resampler.finish()))
        audio = self._settled(all_known=True)
        if self._sounds:
            rest = self._held[: 2 * _FRAME].copy()
            self._powers.append(_frame_power(rest))
            fade = min(_RAMP.size, rest.size)
            rest[rest.size - fade :] *= _RAMP[:fade][::-1]
            audio += self._out(rest)
        self._held, self._sounds, self._begins = self._held[:0], False, True
        return audio

    def end(self) -> bytes:
        """The rest and the silence behind it; b'' when nothing was a sound (then every push gave b'' too)."""
        audio = self.next_sentence()
        if not self._length:
            return b""
        self._level.learn(np.concatenate(self._powers))
        # Whole frames, so that what follows begins with one too (`engine.dialog.piece.Piece`).
        rest = -(self._length + len(self._tail)) % FRAME_SAMPLES
        return audio + self._tail + _silence_of(rest)

    def _settled(self, *, all_known: bool = False) -> bytes:
        """What is held as far as a sound follows it. `all_known`: nothing more of this sentence will come."""
        powers = _frame_power(self._held)
        if self._gain is None:
            self._gain = _measured(powers, at_least=1 if all_known else _MEASURED_FRAMES)
            if self._gain is None:
                return b""
        sounds = np.flatnonzero(powers * np.float32(self._gain**2) > _power(_SILENCE_DBFS))
        if not sounds.size:
            # LEAD_MS are measured to the middle of the first sound, so one frame of silence stays in front.
            self._held = self._held[max(0, powers.size - 1) * _FRAME :]
            return b""
        first = 0 if self._sounds else max(0, int(sounds[0]) * _FRAME - _samples(LEAD_MS) + _FRAME)
        last = int(sounds[-1]) * _FRAME
        self._sounds = True
        self._powers.append(powers[first // _FRAME : last // _FRAME])
        settled, self._held = self._held[first:last], self._held[last:]
        return self._out(settled)

    def _out(self, samples: NDArray[np.float32]) -> bytes:
        if not samples.size:
            return b""
        samples = samples * np.float32(self._gain or 1.0)
        gap = b""
        if self._begins:
            fade = min(_RAMP.size, samples.size)
            samples[:fade] *= _RAMP[:fade]
            gap = _silence(SENTENCE_GAP_MS) if self._length else b""
        self._begins = False
        self._length += len(gap) + samples.size
        return gap + pcm_to_ulaw(np.rint(_limited(samples) * 32_767).astype(np.int16))


def _measured(powers: NDArray[np.float32], *, at_least: int) -> float | None:
    """The gain for a voice that begins like this; None before so many frames of sound."""
    active = powers[powers > _power(_SILENCE_DBFS)][:_MEASURED_FRAMES]
    return _gain(float(_loud(active).mean())) if active.size >= at_least else None


def _loud(powers: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of the frames those that say how loud a voice is: quiet sounds and pauses between words do not."""
    active = powers[powers > _power(_SILENCE_DBFS)]
    loud: NDArray[np.float32] = active[active > active.max(initial=0.0) * 1e-3]
    return loud


def _gain(power: float) -> float:
    return min(float(np.sqrt(_power(TARGET_DBFS) / power)), MAX_GAIN)


def _limited(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Under PEAK, by a curve without a corner: a voice at its level seldom comes up to the knee."""
    room = PEAK - _KNEE
    size = np.abs(samples)
    over = np.maximum(size - _KNEE, 0) / room
    bent = np.minimum(size, _KNEE) + room * over / (1 + over)
    return np.copysign(bent, samples).astype(np.float32)


def _frame_power(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean square of each whole frame of 5 ms."""
    frames = samples[: samples.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    power: NDArray[np.float32] = np.mean(np.square(frames), axis=1)
    return power


def _power(dbfs: float) -> float:
    return float(10 ** (dbfs / 10))


def _samples(ms: int) -> int:
    return SAMPLE_RATE_HZ * ms // 1000


def _silence(ms: int) -> bytes:
    return _silence_of(_samples(ms))


def _silence_of(samples: int) -> bytes:
    return bytes([ULAW_SILENCE]) * samples


_RAMP = np.linspace(0, 1, _samples(_FADE_MS), dtype=np.float32)

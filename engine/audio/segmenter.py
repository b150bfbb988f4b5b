"""From the caller's audio to speech: when it starts, its sound, when it pauses. Sans-I/O, one for a call.

The voice activity network decides what is speech. It is slow to let go (40 to 240 ms after the last sound,
most in noise) and takes breath after a word for speech, so the end is read from the level: the last 4 ms that
stand out of the line's noise, and are not far below the words before, while the network still says speech.
What follows a word much more quietly does not begin speech again either. Where speech hardly stands out of
the noise the network has the word.

Positions count samples (8,000 Hz) of call audio from 0, lost packets included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from engine.audio.g711 import SAMPLE_RATE_HZ, ULAW_SILENCE, ulaw_to_float
from engine.errors import ConfigurationError, ProtocolError

CHUNK_SAMPLES = 256
"""What the network takes: 32 ms."""

PIECE_SAMPLES = SAMPLE_RATE_HZ // 5
"""`SpeechAudio` carries 200 ms or more, but for the last piece before a pause."""


class SpeechState(Enum):
    """What the caller does at this moment."""

    SILENT = "silent"
    STIRRING = "stirring"
    """Speech may be beginning: what came last stands out, or a first chunk of it was heard."""
    SPEAKING = "speaking"


Vad = Callable[[NDArray[np.float32]], float]
"""One chunk, float32 of shape (256,), -1 to 1, in order -> probability that it is speech."""

_BLOCK_SAMPLES = 32
_LATEST_SAMPLES = 5 * _BLOCK_SAMPLES
"""20 ms: a carrier's frame."""
_STANDS_OUT = 10**0.45
"""4.5 dB above the noise floor: white noise alone passes it in a few of a thousand blocks."""
_AUDIBLE = 10**-2.2
"""22 dB under the loudest recent speech: reverberation and breath, not words."""
_RESUMES = 10**-2.0
"""What is said next stands above this much under the loudest recent speech; a breath does not."""
_CLEAR_LINE = 10**2.2
"""22 dB from noise floor to the loudest speech: below that, weak syllables drown in the noise."""
_CERTAIN = 0.9
_SETTLED_CHUNKS = 31
"""After so many of silence (1 s) more of it hardly changes where the next speech is found to begin."""
_PEAK_DECAY, _SILENT_DECAY = 0.97, 0.95
"""A chunk: 4 dB a second while speech goes on, 7 dB in silence."""
_FLOOR_RISE, _FLOOR_FALL = 0.05, 0.3
_LOWEST_FLOOR = 1e-9


@dataclass(frozen=True, slots=True)
class VadConfig:
    """When sound counts as speech. Defaults were chosen on telephone speech, clean and in line noise.

    `gate_dbfs`: what is quieter (mean square of 4 ms; 0 is full scale) is never taken for speech.
    Raises ConfigurationError where values contradict each other.
    """

    start_probability: float = 0.5
    stop_probability: float = 0.45
    min_speech_ms: int = 64
    pause_ms: int = 144
    preroll_ms: int = 300
    gate_dbfs: float = -60.0

    def __post_init__(self) -> None:
        if not 0 < self.stop_probability <= self.start_probability <= 1:
            raise ConfigurationError("VAD: set 0 < stop_probability <= start_probability <= 1")
        if self.min_speech_ms < 0 or self.preroll_ms < 0 or self.pause_ms <= 0:
            raise ConfigurationError("VAD: min_speech_ms and preroll_ms must be 0 or more, pause_ms above 0")


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech began; `at`: position of its first sample."""

    at: int


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """The sound of speech; `at`: position of the first sample of `ulaw`. Pieces never overlap."""

    at: int
    ulaw: bytes


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """A pause; `at`: position just after the last sample of speech, `pause_ms` or a little more ago."""

    at: int


SegmenterEvent = SpeechStarted | SpeechAudio | SpeechStopped


class SpeechSegmenter:
    """Feed it a call's mu-law as it arrives; it returns what the call actor needs to hear of it."""

    def __init__(self, vad: Vad, config: VadConfig | None = None) -> None:
        config = config or VadConfig()
        self._vad = vad
        self._activity = _Activity(config)
        self._silent = 0
        """So many chunks in a row were silence."""
        self._preroll = _samples(config.preroll_ms)
        self._silence_kept = self._preroll + _samples(config.pause_ms) + 2 * CHUNK_SAMPLES
        self._kept = bytearray()
        """Audio that was not sent and may be: the pre-roll, speech short of a piece, an unfinished chunk."""
        self._kept_at = 0
        self._judged = 0
        """Position up to which the network has heard the call."""

    @property
    def position(self) -> int:
        """Samples of call audio so far."""
        return self._kept_at + len(self._kept)

    @property
    def speaking(self) -> bool:
        return self._activity.speaking

    @property
    def state(self) -> SpeechState:
        if self.speaking:
            return SpeechState.SPEAKING
        return SpeechState.STIRRING if self._stirring() else SpeechState.SILENT

    def _stirring(self) -> bool:
        if len(self._kept) < _LATEST_SAMPLES:
            return False
        latest = sorted(_block_power(ulaw_to_float(self._kept[-_LATEST_SAMPLES:])).tolist())
        # Two blocks of the frame: a click alone is not the beginning of a word.
        return self._activity.began < self._judged or self._activity.stands_out(latest[-2])

    def push(self, ulaw: bytes) -> list[SegmenterEvent]:
        """Take audio of any length."""
        self._kept += ulaw
        events: list[SegmenterEvent] = []
        while self.position - self._judged >= CHUNK_SAMPLES:
            start = self._judged - self._kept_at
            chunk = ulaw_to_float(self._kept[start : start + CHUNK_SAMPLES])
            power = _block_power(chunk)
            self._judge(self._probability(chunk, power), power, events)
        return events

    def gap(self, samples: int) -> list[SegmenterEvent]:
        """Take `samples` lost samples, as silence; raises ProtocolError where negative.

        Chunks lost entirely are not shown to the network, so that its memory is of the caller alone.
        """
        if samples < 0:
            raise ProtocolError(f"a gap of {samples} samples: media positions must not go back")
        head = min(samples, (self._judged - self.position) % CHUNK_SAMPLES)
        events = self.push(bytes((ULAW_SILENCE,)) * head)
        whole, tail = divmod(samples - head, CHUNK_SAMPLES)
        silent = 0
        while whole and (self.speaking or silent <= self._silence_kept):
            self._kept += _SILENT_CHUNK
            self._judge(0.0, _NO_POWER, events)
            silent += CHUNK_SAMPLES
            whole -= 1
        # All that is kept is silence by now, so a gap of hours costs no more than one of a second.
        self._kept_at += whole * CHUNK_SAMPLES
        self._judged += whole * CHUNK_SAMPLES
        self._activity.began += whole * CHUNK_SAMPLES
        return events + self.push(bytes((ULAW_SILENCE,)) * tail)

    def _probability(self, chunk: NDArray[np.float32], power: NDArray[np.float32]) -> float:
        """That this is speech. The network, an edge's largest part of the work, is not shown long silence."""
        self._silent = self._silent + 1 if self._activity.is_silent(power) else 0
        return self._vad(chunk) if self._silent <= _SETTLED_CHUNKS else 0.0

    def _judge(self, probability: float, power: NDArray[np.float32], events: list[SegmenterEvent]) -> None:
        activity = self._activity
        was_speaking = activity.speaking
        activity.observe(self._judged, probability, power)
        self._judged += CHUNK_SAMPLES
        if not was_speaking:
            self._forget(activity.began - self._preroll)
            if activity.speaking:
                events.append(SpeechStarted(activity.began))
        if activity.speaking and self._judged - self._kept_at >= PIECE_SAMPLES:
            events.append(self._take())
        if was_speaking and not activity.speaking:
            if self._judged > self._kept_at:
                events.append(self._take())
            events.append(SpeechStopped(activity.ended))

    def _forget(self, before: int) -> None:
        if before > self._kept_at:
            del self._kept[: before - self._kept_at]
            self._kept_at = before

    def _take(self) -> SpeechAudio:
        piece = SpeechAudio(self._kept_at, bytes(self._kept[: self._judged - self._kept_at]))
        self._forget(self._judged)
        return piece


class _Activity:
    """Hysteresis: from probabilities and levels to where speech began and where it ended."""

    __slots__ = ("_config", "_floor", "_gate", "_min_speech", "_pause", "_peak", "began", "ended", "speaking")

    def __init__(self, config: VadConfig) -> None:
        self._config = config
        self._gate = 10 ** (config.gate_dbfs / 10)
        self._min_speech = _samples(config.min_speech_ms)
        self._pause = _samples(config.pause_ms)
        self._floor = _LOWEST_FLOOR
        self._peak = 0.0
        self.speaking = False
        self.began = 0
        """First sample of the speech, of what may become speech, or else of what comes next."""
        self.ended = 0
        """The sample after the last one of speech."""

    def is_silent(self, power: NDArray[np.float32]) -> bool:
        """Whether a chunk, outside speech, is so quiet that it is never taken for speech."""
        return not self.speaking and bool(power.max() <= self._gate)

    def stands_out(self, power: float) -> bool:
        """Whether such power, outside speech, is neither the line's noise nor a breath after a word."""
        return power > max(self._gate, self._floor * _STANDS_OUT, self._peak * _RESUMES)

    def observe(self, at: int, probability: float, power: NDArray[np.float32]) -> None:
        """Take the chunk at position `at`; `power`: mean square of each block of 32 samples, shape (8,)."""
        loudest = float(power.max())
        if self.speaking:
            self._follow(at, probability, power, loudest)
        else:
            self._await(at, probability, loudest)
        if probability < self._config.stop_probability:
            level = float(np.sort(power)[len(power) // 2])
            speed = _FLOOR_FALL if level < self._floor else _FLOOR_RISE
            self._floor = max(self._floor + speed * (level - self._floor), _LOWEST_FLOOR)

    def _await(self, at: int, probability: float, loudest: float) -> None:
        end = at + CHUNK_SAMPLES
        waiting = self.began >= at
        self._peak *= _SILENT_DECAY
        is_loud = loudest > max(self._gate, self._peak * _RESUMES)
        is_speech = is_loud and probability >= self._config.start_probability
        if not is_speech and (waiting or not is_loud or probability < self._config.stop_probability):
            self.began = end
            return
        if end - self.began >= self._min_speech:
            self.speaking = True
            self.ended = end
            self._peak = max(self._peak, loudest)

    def _follow(self, at: int, probability: float, power: NDArray[np.float32], loudest: float) -> None:
        end = at + CHUNK_SAMPLES
        self._peak = max(self._peak * _PEAK_DECAY, loudest)
        if probability >= self._config.stop_probability:
            if probability >= _CERTAIN and self._peak < self._floor * _CLEAR_LINE:
                self.ended = end
            else:
                audible = max(self._gate, self._floor * _STANDS_OUT, self._peak * _AUDIBLE)
                blocks = np.flatnonzero(power > audible)
                if len(blocks):
                    self.ended = at + (int(blocks[-1]) + 1) * _BLOCK_SAMPLES
        if end - self.ended >= self._pause:
            self.speaking = False
            self.began = end


def _samples(ms: int) -> int:
    return ms * SAMPLE_RATE_HZ // 1_000


def _block_power(chunk: NDArray[np.float32]) -> NDArray[np.float32]:
    blocks = chunk.reshape(-1, _BLOCK_SAMPLES)
    power: NDArray[np.float32] = np.vecdot(blocks, blocks)
    return power / np.float32(_BLOCK_SAMPLES)


_SILENT_CHUNK = bytes((ULAW_SILENCE,)) * CHUNK_SAMPLES
_NO_POWER = np.zeros(CHUNK_SAMPLES // _BLOCK_SAMPLES, np.float32)

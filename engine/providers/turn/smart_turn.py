"""smart-turn v3: has the caller finished? A small audio model that hears intonation, not words.

Input is the log-mel spectrogram (Whisper's: 25 ms Hann windows every 10 ms, 80 Slaney bands) of the last 8 s
at 16 kHz, silence in front of shorter audio, the waveform brought to zero mean and unit variance first.
Output is the probability that the turn is complete. Weights: Daily, BSD-2.

All here is numpy: the feature extractor that the model was trained with lives in a library far too heavy to
import in a replica; tests compare the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from engine.audio import g711, resample
from engine.errors import ConfigurationError, ProviderUnavailable, WeightsError
from engine.providers.base import SAMPLE_RATE_HZ

PROVIDER = "smart-turn"
RATE_HZ = 16_000
LONGEST_S = 8
FRAMES = 800
BANDS = 80

_SAMPLES: Final = LONGEST_S * RATE_HZ
_FFT, _HOP = 400, 160
_HALF = _FFT // 2
_FLOOR = 1e-10
_DYNAMIC_RANGE = 8.0
_VARIANCE_EPSILON = 1e-7
# The Slaney mel scale: linear below 1,000 Hz (mel 15), logarithmic above.
_KNEE_HZ, _KNEE_MEL, _MEL_PER_LOG = 1_000.0, 15.0, 27.0 / np.log(6.4)


def _mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    linear = mel * (_KNEE_HZ / _KNEE_MEL)
    logarithmic = _KNEE_HZ * np.exp((mel - _KNEE_MEL) / _MEL_PER_LOG)
    return np.where(mel < _KNEE_MEL, linear, logarithmic)


def _mel_bands() -> NDArray[np.float64]:
    """Triangular filters of equal area, shape [BANDS, FFT bins], from 0 Hz to half the sampling rate."""
    top_mel = _KNEE_MEL + np.log(RATE_HZ / 2 / _KNEE_HZ) * _MEL_PER_LOG
    corners = _mel_to_hz(np.linspace(0.0, top_mel, BANDS + 2))
    low, centre, high = (corners[at : at + BANDS, np.newaxis] for at in range(3))
    bins = np.linspace(0.0, RATE_HZ / 2, _HALF + 1)
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (high - low))


_BANDS: Final = _mel_bands()
_HANN: Final = np.hanning(_FFT + 1)[:-1]


def last_8_s(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """The end of `pcm` (16 kHz) as 128,000 samples in -1 to 1, zeros in front if it is shorter."""
    window = np.zeros(_SAMPLES, np.float32)
    end = pcm[-_SAMPLES:]
    if len(end):
        window[-len(end) :] = end / np.float32(32_768)
    return window


def log_mel(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features of 128,000 samples at 16 kHz: float32 [80, 800]."""
    normal = (window - window.mean()) / np.sqrt(window.var() + _VARIANCE_EPSILON)
    padded = np.pad(normal.astype(np.float64), _HALF, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[: FRAMES * _HOP : _HOP]
    power = np.abs(np.fft.rfft(frames * _HANN, axis=1)) ** 2
    level = np.log10(np.maximum(_FLOOR, _BANDS @ power.T))
    level = np.maximum(level, level.max() - _DYNAMIC_RANGE)
    features: NDArray[np.float32] = ((level + 4.0) / 4.0).astype(np.float32)
    return features


class SmartTurn:
    """A loaded model. `score` blocks (call it from worker threads) and may run in several threads at once."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        """`path`: the ONNX file, or the weights folder that holds it. `threads`: for one score.

        Raises WeightsError if it is missing, ConfigurationError if it is not a smart-turn v3 model.
        """
        file = next(iter(sorted(path.glob("*.onnx"))), path) if path.is_dir() else path
        if not file.is_file():
            name = path.name if path.suffix != ".onnx" else path.parent.name
            raise WeightsError(f"weights '{name}' lack the ONNX file: run `parley models pull {name}`")
        self._session = _session(file, threads)

    def score(self, ulaw: bytes) -> float:
        """Probability (0 to 1) that the turn is complete; `ulaw`: mu-law 8 kHz, its last 8 s count.

        Raises ProviderUnavailable if the runtime fails.
        """
        recent = g711.ulaw_to_pcm(ulaw[-LONGEST_S * SAMPLE_RATE_HZ :])
        features = log_mel(last_8_s(resample.resample(recent, SAMPLE_RATE_HZ, RATE_HZ)))
        try:
            (probability,) = self._session.run(None, {"input_features": features[np.newaxis]})
        except Exception as error:
            raise ProviderUnavailable(f"the turn model failed: {error}", provider=PROVIDER) from error
        return float(probability[0, 0])


def _session(file: Path, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning between requests would take a core from the language model.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ConfigurationError(f"cannot load {file.name}: {error}") from error
    inputs = [(each.name, each.shape[1:]) for each in session.get_inputs()]
    if inputs != [("input_features", [BANDS, FRAMES])]:
        raise ConfigurationError(f"{file.name} is not a smart-turn v3 model: its inputs are {inputs}")
    return session

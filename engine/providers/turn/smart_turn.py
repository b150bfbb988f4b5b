"""smart-turn v3: has the caller finished? A small audio model that hears intonation, not words.

Input is Whisper's log-mel spectrogram of the last 8 s, silence in front of shorter audio, the waveform
brought to zero mean and unit variance first. Output is the probability that the turn is complete. Weights:
Daily, BSD-2. The feature extractor that it was trained with lives in a library far too heavy to import in a
replica, so features are made here; a test compares the two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio import g711, resample
from engine.errors import ConfigurationError, ProviderUnavailable, WeightsError
from engine.providers.base import SAMPLE_RATE_HZ
from engine.providers.stt.mel import FRAMES_PER_S, RATE_HZ, LogMel

PROVIDER = "smart-turn"
LONGEST_S = 8
FRAMES = LONGEST_S * FRAMES_PER_S
BANDS = 80

_SAMPLES = LONGEST_S * RATE_HZ
_VARIANCE_EPSILON = 1e-7


def last_8_s(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    """The end of `pcm` (16 kHz) as 128,000 samples in -1 to 1, zeros in front if it is shorter."""
    window = np.zeros(_SAMPLES, np.float32)
    end = pcm[-_SAMPLES:]
    if len(end):
        window[-len(end) :] = end / np.float32(32_768)
    return window


def normalise(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """`window` with zero mean and unit variance: how loud somebody speaks says nothing."""
    normal: NDArray[np.float32] = (window - window.mean()) / np.sqrt(window.var() + _VARIANCE_EPSILON)
    return normal


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
        self._log_mel = LogMel(BANDS)

    def score(self, ulaw: bytes) -> float:
        """Probability (0 to 1) that the turn is complete; `ulaw`: mu-law 8 kHz, its last 8 s count.

        Raises ProviderUnavailable if the runtime fails.
        """
        recent = g711.ulaw_to_pcm(ulaw[-LONGEST_S * SAMPLE_RATE_HZ :])
        window = last_8_s(resample.resample(recent, SAMPLE_RATE_HZ, RATE_HZ))
        features = self._log_mel(normalise(window))
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

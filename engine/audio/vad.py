"""Silero VAD at 8 kHz: the probability that a chunk of 32 ms is speech.

The network is recurrent, so each call keeps a state of its own; one session (the weights) serves all calls of
a process. It is light (0.07 ms a chunk), so it runs on one thread, where the caller stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
)

from engine.errors import WeightsError

CHUNK_SAMPLES = 256
"""32 ms at 8,000 Hz: the one size that the network takes."""

_CONTEXT_SAMPLES = 32
_STATE_SIZE = 128
_SAMPLE_RATE = np.array(8_000, np.int64)


@dataclass(slots=True, eq=False)
class VadState:
    """What the network remembers of one call: 1 kB of recurrent state and the last 4 ms of audio."""

    recurrent: NDArray[np.float32]
    """shape (2, 1, 128)"""
    context: NDArray[np.float32]
    """shape (32,)"""


class SileroVad:
    """The voice activity network; one for a process, any number of calls."""

    def __init__(self, path: Path) -> None:
        """Load `silero_vad.onnx` from the weights folder `path`; raises WeightsError."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                (path / "silero_vad.onnx").read_bytes(),
                sess_options=options,
                providers=["CPUExecutionProvider"],
            )
        except (OSError, InvalidProtobuf, InvalidArgument, InvalidGraph, Fail) as error:
            raise WeightsError(
                f"cannot load silero_vad.onnx from {path}: run `parley models pull silero-vad`"
            ) from error

    def new_state(self) -> VadState:
        """The state of a call that has not begun."""
        return VadState(np.zeros((2, 1, _STATE_SIZE), np.float32), np.zeros(_CONTEXT_SAMPLES, np.float32))

    def probability(self, state: VadState, chunk: NDArray[np.float32]) -> float:
        """The probability (0 to 1) that `chunk`, float32 of shape (256,), -1 to 1, is speech.

        Chunks of a call must come in order, as `state` moves on with each.
        """
        return self.probabilities((state,), (chunk,))[0]

    def probabilities(self, states: Sequence[VadState], chunks: Sequence[NDArray[np.float32]]) -> list[float]:
        """One chunk of each of several calls, in one run of the network; as `probability` for each."""
        if not states:
            return []
        audio = np.empty((len(states), _CONTEXT_SAMPLES + CHUNK_SAMPLES), np.float32)
        for row, state, chunk in zip(audio, states, chunks, strict=True):
            row[:_CONTEXT_SAMPLES] = state.context
            row[_CONTEXT_SAMPLES:] = chunk
        recurrent = (
            states[0].recurrent if len(states) == 1 else np.concatenate([s.recurrent for s in states], axis=1)
        )
        speech, recurrent = self._session.run(None, {"input": audio, "state": recurrent, "sr": _SAMPLE_RATE})
        for index, state in enumerate(states):
            state.recurrent = recurrent[:, index : index + 1]
            state.context = audio[index, -_CONTEXT_SAMPLES:]
        return [float(p) for p in speech[:, 0]]

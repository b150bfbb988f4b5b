"""Sample rate conversion (soxr), for whole signals and for streams, int16 or float32."""

from __future__ import annotations

from typing import cast

import numpy as np
import soxr
from numpy.typing import NDArray

from engine.errors import UsageError

_FULL_SCALE = 32_768.0


def resample(pcm: NDArray[np.int16], from_hz: int, to_hz: int) -> NDArray[np.int16]:
    """Convert a whole signal, shape (n,) or (n, channels); overshoot is clipped.

    Raises UsageError for a rate that is not positive.
    """
    _check_rates(from_hz, to_hz)
    if from_hz == to_hz or pcm.shape[0] == 0:
        return pcm
    return _to_int16(cast("NDArray[np.float32]", soxr.resample(_to_float(pcm), from_hz, to_hz)))


class FloatResampler:
    """Converts one mono stream of float32, -1 to 1, piece by piece; overshoot is left as it is.

    The filter looks ahead and works in blocks, so output comes later than input: 14 to 79 ms from 22,050 Hz
    to 8,000 Hz, 12 to 115 ms from 16,000 Hz. However the input is split, all pieces of output put together
    are the same.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Raises UsageError for a rate that is not positive."""
        _check_rates(from_hz, to_hz)
        self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32") if from_hz != to_hz else None

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take samples of shape (n,), any n; return what is ready, shape (m,), often fewer or none."""
        return self._convert(samples, last=False)

    def finish(self) -> NDArray[np.float32]:
        """Return the rest; afterwards the object is ready for another stream."""
        rest = self._convert(np.zeros(0, np.float32), last=True)
        if self._stream is not None:
            self._stream.clear()
        return rest

    def _convert(self, samples: NDArray[np.float32], *, last: bool) -> NDArray[np.float32]:
        if self._stream is None:
            return samples
        return cast("NDArray[np.float32]", self._stream.resample_chunk(samples, last=last))


class Resampler:
    """`FloatResampler` for int16: overshoot is clipped, all output together is `resample` of all input."""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Raises UsageError for a rate that is not positive."""
        self._stream = FloatResampler(from_hz, to_hz)

    def push(self, pcm: NDArray[np.int16]) -> NDArray[np.int16]:
        """Take samples of shape (n,), any n; return what is ready, shape (m,), often fewer or none."""
        return _to_int16(self._stream.push(_to_float(pcm)))

    def finish(self) -> NDArray[np.int16]:
        """Return the rest; afterwards the object is ready for another stream."""
        return _to_int16(self._stream.finish())


def _check_rates(from_hz: int, to_hz: int) -> None:
    if from_hz <= 0 or to_hz <= 0:
        raise UsageError(f"cannot resample from {from_hz} Hz to {to_hz} Hz: rates must be positive")


# Float inside: soxr dithers int16 output, which turns digital silence into noise.
def _to_float(pcm: NDArray[np.int16]) -> NDArray[np.float32]:
    return pcm.astype(np.float32) / np.float32(_FULL_SCALE)


def _to_int16(signal: NDArray[np.float32]) -> NDArray[np.int16]:
    whole: NDArray[np.float32] = np.rint(signal * np.float32(_FULL_SCALE))
    return np.clip(whole, -32_768, 32_767).astype(np.int16)

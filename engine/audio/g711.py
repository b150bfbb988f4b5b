"""G.711 mu-law and A-law, by table: one byte a sample on the wire, int16 inside.

Bit-exact with ITU-T G.711 (and with the Python 3.11 `audioop`): mu-law quantises the upper 14 bits of a
sample and A-law the upper 13. Tables are built from the definition at import, in about a millisecond.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 8_000
ULAW_SILENCE = 0xFF
"""The mu-law byte for zero (0x7F, "minus zero", also decodes to zero)."""
ALAW_SILENCE = 0xD5
"""The A-law byte closest to zero: A-law has no zero, this is +8 of 32,768."""

_ULAW_BIAS = 33
_ULAW_CLIP = 8_191 - _ULAW_BIAS

_Bytes = bytes | bytearray | memoryview


def _segments(magnitude: NDArray[np.int32], first_end: int) -> NDArray[np.int32]:
    """The number of the segment (0 to 7) in which each magnitude lies; segment n ends at `first_end << n`."""
    ends = (first_end << np.arange(8)) - 1
    return np.minimum(np.searchsorted(ends, magnitude), 7).astype(np.int32)


def _ulaw_decode_table() -> NDArray[np.int16]:
    code = ~np.arange(256) & 0xFF
    magnitude = ((((code & 0x0F) << 1) + _ULAW_BIAS) << ((code & 0x70) >> 4)) - _ULAW_BIAS
    return (np.where(code & 0x80, -magnitude, magnitude) << 2).astype(np.int16)


def _ulaw_encode_table() -> NDArray[np.uint8]:
    linear = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(linear), _ULAW_CLIP) + _ULAW_BIAS
    segment = _segments(magnitude, 64)
    code: NDArray[np.int32] = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    code ^= np.where(linear < 0, 0x7F, 0xFF).astype(np.int32)
    return code.astype(np.uint8)


def _alaw_decode_table() -> NDArray[np.int16]:
    code = np.arange(256) ^ 0x55
    segment = (code & 0x70) >> 4
    step = ((code & 0x0F) << 4) + 8
    magnitude = np.where(segment == 0, step, (step + 0x100) << np.maximum(segment - 1, 0))
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


def _alaw_encode_table() -> NDArray[np.uint8]:
    linear = np.arange(65_536).astype(np.uint16).view(np.int16).astype(np.int32) >> 3
    magnitude = np.where(linear < 0, ~linear, linear)
    segment = _segments(magnitude, 32)
    code: NDArray[np.int32] = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0x0F)
    code ^= np.where(linear < 0, 0x55, 0xD5).astype(np.int32)
    return code.astype(np.uint8)


_ULAW_TO_PCM = _ulaw_decode_table()
_ULAW_TO_FLOAT = (_ULAW_TO_PCM / 32_768).astype(np.float32)
_PCM_TO_ULAW = _ulaw_encode_table()
_ALAW_TO_PCM = _alaw_decode_table()
_PCM_TO_ALAW = _alaw_encode_table()


def ulaw_to_pcm(ulaw: _Bytes) -> NDArray[np.int16]:
    """Decode mu-law to int16 samples, shape (bytes,)."""
    return _ULAW_TO_PCM[np.frombuffer(ulaw, np.uint8)]


def ulaw_to_float(ulaw: _Bytes) -> NDArray[np.float32]:
    """Decode mu-law to float32 samples in -1 to 1, shape (bytes,): what voice models take."""
    return _ULAW_TO_FLOAT[np.frombuffer(ulaw, np.uint8)]


def pcm_to_ulaw(pcm: NDArray[np.int16]) -> bytes:
    """Encode int16 samples of shape (n,) as n bytes of mu-law; a wider dtype is numpy's TypeError."""
    return _PCM_TO_ULAW[_table_index(pcm)].tobytes()


def alaw_to_pcm(alaw: _Bytes) -> NDArray[np.int16]:
    """Decode A-law to int16 samples, shape (bytes,)."""
    return _ALAW_TO_PCM[np.frombuffer(alaw, np.uint8)]


def pcm_to_alaw(pcm: NDArray[np.int16]) -> bytes:
    """Encode int16 samples of shape (n,) as n bytes of A-law; a wider dtype is numpy's TypeError."""
    return _PCM_TO_ALAW[_table_index(pcm)].tobytes()


def _table_index(pcm: NDArray[np.int16]) -> NDArray[np.uint16]:
    return pcm.astype(np.int16, casting="safe", copy=False).view(np.uint16)

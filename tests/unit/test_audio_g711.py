"""G.711 against its definition, and against `audioop` where Python still has it."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

import numpy as np
import pytest

from engine.audio import g711

ALL_BYTES = bytes(range(256))
ALL_PCM = np.arange(-32_768, 32_768).astype(np.int16)


@pytest.fixture(scope="module")
def audioop() -> ModuleType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            return importlib.import_module("audioop")
        except ModuleNotFoundError:
            pytest.skip("this Python has no audioop")


def test_ulaw_is_bit_exact(audioop: ModuleType) -> None:
    assert g711.ulaw_to_pcm(ALL_BYTES).tobytes() == audioop.ulaw2lin(ALL_BYTES, 2)
    assert g711.pcm_to_ulaw(ALL_PCM) == audioop.lin2ulaw(ALL_PCM.tobytes(), 2)


def test_alaw_is_bit_exact(audioop: ModuleType) -> None:
    assert g711.alaw_to_pcm(ALL_BYTES).tobytes() == audioop.alaw2lin(ALL_BYTES, 2)
    assert g711.pcm_to_alaw(ALL_PCM) == audioop.lin2alaw(ALL_PCM.tobytes(), 2)


def test_known_values() -> None:
    """Ends and middles of the tables of ITU-T G.711 (mu-law in 14 bits, A-law in 13, scaled to 16)."""
    assert g711.ulaw_to_pcm(b"\x00\x80\x7f\xff\x8f").tolist() == [-32_124, 32_124, 0, 0, 16_764]
    assert g711.alaw_to_pcm(b"\x2a\xaa\x55\xd5").tolist() == [-32_256, 32_256, -8, 8]
    assert g711.pcm_to_ulaw(np.array([0, 32_767, -32_768], np.int16)) == b"\xff\x80\x00"
    assert g711.pcm_to_alaw(np.array([0, 32_767, -32_768], np.int16)) == b"\xd5\xaa\x2a"


def test_every_code_survives_a_round_trip() -> None:
    ulaw = g711.pcm_to_ulaw(g711.ulaw_to_pcm(ALL_BYTES))
    assert ulaw == ALL_BYTES.replace(b"\x7f", b"\xff")
    assert g711.pcm_to_alaw(g711.alaw_to_pcm(ALL_BYTES)) == ALL_BYTES


@pytest.mark.parametrize("law", ["ulaw", "alaw"])
def test_decoded_is_near_and_in_order(law: str) -> None:
    encode, decode = getattr(g711, f"pcm_to_{law}"), getattr(g711, f"{law}_to_pcm")
    decoded = decode(encode(ALL_PCM)).astype(int)
    assert np.all(np.diff(decoded) >= 0)
    assert np.all(
        np.abs(decoded - ALL_PCM) <= 8 + np.abs(ALL_PCM.astype(int)) / 32 + 512 * (decoded > 32_000)
    )


def test_silence() -> None:
    assert g711.ulaw_to_pcm(bytes((g711.ULAW_SILENCE,))).tolist() == [0]
    assert g711.pcm_to_ulaw(np.zeros(1, np.int16)) == bytes((g711.ULAW_SILENCE,))
    assert g711.pcm_to_alaw(np.zeros(1, np.int16)) == bytes((g711.ALAW_SILENCE,))


def test_float_is_pcm_scaled() -> None:
    assert np.array_equal(g711.ulaw_to_float(ALL_BYTES) * 32_768, g711.ulaw_to_pcm(ALL_BYTES))
    assert g711.ulaw_to_float(ALL_BYTES).dtype == np.float32


def test_any_buffer_and_stride_but_no_wider_samples() -> None:
    assert np.array_equal(g711.ulaw_to_pcm(bytearray(ALL_BYTES)), g711.ulaw_to_pcm(memoryview(ALL_BYTES)))
    assert g711.pcm_to_ulaw(ALL_PCM[::2]) == g711.pcm_to_ulaw(ALL_PCM)[::2]
    assert g711.ulaw_to_pcm(b"").size == 0
    with pytest.raises(TypeError):
        g711.pcm_to_ulaw(np.zeros(4, np.float32))

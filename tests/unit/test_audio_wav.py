"""WAV files: what is written is read back, foreign ones are refused clearly, crashes lose nothing."""

from __future__ import annotations

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from engine.audio.wav import WavWriter, read_wav, write_wav
from engine.errors import UsageError

MONO = np.arange(-500, 500).astype(np.int16)
STEREO = np.stack([MONO, -MONO], axis=1)


@pytest.mark.parametrize("pcm", [MONO, STEREO, MONO[:0]], ids=["mono", "stereo", "empty"])
def test_round_trip(tmp_path: Path, pcm: np.ndarray) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"an older file, longer than the new one" * 500)
    write_wav(path, pcm, 22_050)
    back = read_wav(path)
    assert back.hz == 22_050
    assert np.array_equal(back.pcm, pcm)


def test_other_programs_read_it(tmp_path: Path) -> None:
    write_wav(tmp_path / "a.wav", STEREO, 8_000)
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getparams()[:4] == (2, 2, 8_000, 1_000)
        assert file.readframes(1_000) == STEREO.tobytes()


def fmt(kind: int, channels: int, hz: int, bits: int, extra: bytes = b"") -> bytes:
    body = struct.pack("<HHIIHH", kind, channels, hz, 0, 0, bits) + extra
    return b"fmt " + struct.pack("<I", len(body)) + body


def riff(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WAVE" + b"".join(chunks)


DATA = b"data" + struct.pack("<I", 4) + b"\x01\x00\x02\x00"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not a WAV file"),
        (b"ID3 this is an mp3", "not a WAV file"),
        (riff(fmt(1, 1, 8_000, 8), DATA), "not PCM16"),
        (riff(fmt(3, 1, 8_000, 32), DATA), "not PCM16"),
        (riff(fmt(7, 1, 8_000, 8), DATA), "not PCM16"),
        (riff(fmt(1, 6, 8_000, 16), DATA), "6 channels"),
        (riff(fmt(1, 1, 0, 16), DATA), "0 Hz"),
        (riff(DATA), "before its format"),
        (riff(fmt(1, 1, 8_000, 16)), "no audio"),
        (riff(b"fmt \x02\x00\x00\x00\x01\x00"), "damaged"),
    ],
)
def test_anything_else_is_refused_in_one_clear_line(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=says):
        read_wav(path)


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_wav(tmp_path / "none.wav")
    with pytest.raises(UsageError, match="No such file"):
        WavWriter(tmp_path / "none" / "a.wav", 8_000)


def test_unknown_chunks_and_the_extensible_format_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    extra = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
    path.write_bytes(riff(b"LIST\x03\x00\x00\x00abc\x00", fmt(0xFFFE, 1, 16_000, 16, extra), DATA))
    assert read_wav(path).pcm.tolist() == [1, 2]


def test_a_recording_grows_on_disk_and_survives_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    crashed = WavWriter(path, 8_000)
    crashed.write(STEREO)
    assert np.array_equal(read_wav(path).pcm, STEREO), "readable before it is closed"
    with path.open("ab") as file:
        file.write(b"\x01\x02\x03")
    with WavWriter(path, 8_000) as writer:
        writer.write(STEREO[:10])
    with wave.open(str(path)) as file:
        assert file.getnframes() == 1_010
    assert np.array_equal(read_wav(path).pcm, np.concatenate([STEREO, STEREO[:10]]))
    crashed._file.close()


def test_a_recording_is_not_continued_in_another_format(tmp_path: Path) -> None:
    path = tmp_path / "call.wav"
    write_wav(path, MONO, 8_000)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="it holds 1 channels at 8000 Hz"):
        WavWriter(path, 8_000, channels=2)
    assert path.read_bytes() == before


def test_wrong_shapes_are_refused(tmp_path: Path) -> None:
    with WavWriter(tmp_path / "a.wav", 8_000) as writer, pytest.raises(UsageError, match="2 channels"):
        writer.write(MONO)
    with pytest.raises(UsageError, match="use 1 or 2"):
        WavWriter(tmp_path / "b.wav", 8_000, channels=3)

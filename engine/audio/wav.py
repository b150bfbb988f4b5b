"""PCM16 WAV files: read, write, and a writer for recordings that grow while a call lasts."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from engine.errors import UsageError

_PCM, _EXTENSIBLE = 1, 0xFFFE
_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")
_FORMAT = struct.Struct("<HHIIHH")
_MAX_DATA_BYTES = 0xFFFFFFFF - _HEADER.size


@dataclass(frozen=True, slots=True, eq=False)
class Wav:
    """Samples of shape (n,) for mono or (n, 2) for stereo, and their rate in Hz."""

    pcm: NDArray[np.int16]
    hz: int


@dataclass(frozen=True, slots=True)
class _Layout:
    channels: int
    hz: int
    data_at: int
    data_bytes: int


def read_wav(path: Path) -> Wav:
    """Read a PCM16 WAV file, mono or stereo, at any rate.

    A recording whose writer died before `close` is read up to its last whole frame. Raises UsageError for
    anything else than PCM16 mono or stereo.
    """
    try:
        with path.open("rb") as file:
            layout = _layout(file, path)
            file.seek(layout.data_at)
            data = file.read(layout.data_bytes)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    pcm = np.frombuffer(data, "<i2").astype(np.int16, copy=False)
    return Wav(pcm if layout.channels == 1 else pcm.reshape(-1, layout.channels), layout.hz)


def write_wav(path: Path, pcm: NDArray[np.int16], hz: int) -> None:
    """Write samples of shape (n,) or (n, 2), replacing the file; raises UsageError."""
    path.unlink(missing_ok=True)
    with WavWriter(path, hz, channels=1 if pcm.ndim == 1 else pcm.shape[1]) as writer:
        writer.write(pcm)


class WavWriter:
    """Appends PCM16 audio to a file, straight to disk, and sets the sizes in the header at `close`.

    Until then the header says "as long as the file is", which `read_wav` and common players understand, so a
    crash loses nothing that was written. An existing recording of the same format is continued.
    """

    def __init__(self, path: Path, hz: int, channels: int = 2) -> None:
        """Raises UsageError where the file cannot be written or holds something else."""
        if channels not in (1, 2):
            raise UsageError(f"cannot write {path}: {channels} channels; use 1 or 2")
        self._path, self._hz, self._channels = path, hz, channels
        self._bytes = 0
        try:
            self._file = path.open("r+b" if path.exists() else "x+b", buffering=0)
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error
        try:
            self._continue_file()
        except BaseException:
            self._file.close()
            raise

    def _continue_file(self) -> None:
        if self._file.seek(0, 2):
            layout = _layout(self._file, self._path)
            if (layout.channels, layout.hz, layout.data_at) != (self._channels, self._hz, _HEADER.size):
                raise UsageError(
                    f"cannot append to {self._path}: it holds {layout.channels} channels at {layout.hz} Hz, "
                    f"not {self._channels} at {self._hz} Hz"
                )
            self._bytes = layout.data_bytes
        self._write_header(_MAX_DATA_BYTES)
        self._file.truncate(_HEADER.size + self._bytes)
        self._file.seek(0, 2)

    @property
    def samples(self) -> int:
        """Samples of each channel in the file."""
        return self._bytes // (2 * self._channels)

    def write(self, pcm: NDArray[np.int16]) -> None:
        """Append samples of shape (n,) for mono or (n, 2) for stereo; raises UsageError."""
        if (1 if pcm.ndim == 1 else pcm.shape[1]) != self._channels:
            raise UsageError(f"{self._path} has {self._channels} channels: pass samples of that shape")
        data = np.ascontiguousarray(pcm.astype("<i2", casting="safe", copy=False)).tobytes()
        if self._bytes + len(data) > _MAX_DATA_BYTES:
            raise UsageError(f"{self._path} has reached the 4 GiB that a WAV file can hold: start another")
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
        self._bytes += len(data)

    def close(self) -> None:
        """Set the sizes and close; a second call does nothing."""
        if self._file.closed:
            return
        try:
            self._write_header(self._bytes)
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write_header(self, data_bytes: int) -> None:
        frame = 2 * self._channels
        header = _HEADER.pack(
            b"RIFF", _HEADER.size - 8 + data_bytes, b"WAVE",
            b"fmt ", _FORMAT.size, _PCM, self._channels, self._hz, self._hz * frame, frame, 16,
            b"data", data_bytes,
        )  # fmt: skip
        self._file.seek(0)
        self._file.write(header)


def _layout(file: BinaryIO, path: Path) -> _Layout:
    """Find format and audio in an open file."""
    end = file.seek(0, 2)
    file.seek(0)
    riff = file.read(12)
    if len(riff) < 12 or riff[:4] != b"RIFF" or riff[8:] != b"WAVE":
        raise UsageError(f"{path} is not a WAV file: convert it to PCM16 WAV")
    channels = hz = 0
    while len(head := file.read(8)) == 8:
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"fmt ":
            channels, hz = _pcm16_format(file.read(size + size % 2), path)
        elif name == b"data":
            if not channels:
                raise UsageError(f"{path} has audio before its format: convert it to PCM16 WAV")
            at = file.tell()
            present = min(size, end - at)
            return _Layout(channels, hz, at, present - present % (2 * channels))
        else:
            file.seek(size + size % 2, 1)
    raise UsageError(f"{path} holds no audio: it may have been cut off")


def _pcm16_format(body: bytes, path: Path) -> tuple[int, int]:
    if len(body) < _FORMAT.size:
        raise UsageError(f"{path} has a damaged format header: convert it to PCM16 WAV")
    kind, channels, hz, _, _, bits = _FORMAT.unpack_from(body)
    if kind == _EXTENSIBLE and len(body) >= 26:
        kind = int.from_bytes(body[24:26], "little")
    if kind != _PCM or bits != 16:
        raise UsageError(f"{path} is not PCM16 (format {kind}, {bits} bits): convert it to PCM16 WAV")
    if channels not in (1, 2) or hz == 0:
        raise UsageError(f"{path} has {channels} channels at {hz} Hz: convert it to mono or stereo")
    return channels, hz

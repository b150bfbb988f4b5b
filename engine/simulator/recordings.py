"""A caller's voice: short spoken recordings for calls that are placed by a program.

The recordings are mu-law WAV files at 8,000 Hz in the folder of the same name, described by its
`manifest.toml`: who speaks, under which licence, what is said, and what a right answer contains.
`bench/make_recordings.py` makes them again. `tuning` is for work on the engine, `heldout` only for reporting,
`demo` for `parley demo`.
"""

from __future__ import annotations

import struct
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engine.audio import g711
from engine.errors import UsageError

FOLDER = Path(__file__).with_suffix("")
HZ = g711.SAMPLE_RATE_HZ

Kind = Literal[
    "question", "unanswerable", "closing", "short", "interruption", "backchannel", "cough", "digits",
    "unfinished", "continuation",
]  # fmt: skip
Set = Literal["demo", "tuning", "heldout"]
Noise = Literal["white", "pink"]

_ULAW_FORMAT = 7
_RIFF = struct.Struct("<4sI4s")
_CHUNK = struct.Struct("<4sI")
_FORMAT = struct.Struct("<HHIIHHH")
_ACTIVE_DB = 25.0
"""Frames within this of the loudest one count as speech when noise is measured against it."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One utterance. `facts`: groups of alternatives; a right answer contains one of every group."""

    id: str
    text: str
    kind: Kind
    set: Set
    voice: str
    source: str
    licence: str
    human: bool
    facts: tuple[tuple[str, ...], ...]
    path: Path

    def ulaw(self) -> bytes:
        """The audio as mu-law, one byte a sample, 8,000 Hz; raises UsageError for an unreadable file."""
        return read_ulaw_wav(self.path)

    def pcm(self) -> NDArray[np.int16]:
        """The audio as int16 samples of shape (n,), 8,000 Hz; raises UsageError for an unreadable file."""
        return g711.ulaw_to_pcm(self.ulaw())


@lru_cache(maxsize=1)
def load() -> tuple[Recording, ...]:
    """Every shipped recording, in the manifest's order."""
    return read_manifest(FOLDER / "manifest.toml")


@lru_cache(maxsize=1)
def declines() -> tuple[str, ...]:
    """What an honest answer to an `unanswerable` question contains, one of these."""
    document = tomllib.loads((FOLDER / "manifest.toml").read_text(encoding="utf-8"))
    return tuple(document["declines"])


def select(*, kind: Kind | None = None, of: Set | None = None) -> tuple[Recording, ...]:
    """The recordings of one kind, of one set, or both."""
    return tuple(row for row in load() if kind in (None, row.kind) and of in (None, row.set))


def get(name: str) -> Recording:
    """The recording with this id; raises UsageError."""
    for row in load():
        if row.id == name:
            return row
    raise UsageError(f"no recording is called '{name}'; see {FOLDER / 'manifest.toml'}")


def read_manifest(path: Path) -> tuple[Recording, ...]:
    """The recordings that a manifest describes; raises UsageError if it is not a valid one."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        voices = {voice["id"]: voice for voice in document["voices"]}
        return tuple(_row(row, voices[row["voice"]], path.parent) for row in document["recordings"])
    except (OSError, tomllib.TOMLDecodeError, KeyError) as error:
        raise UsageError(f"the recordings' manifest {path} is not valid: {error}") from error


def _row(row: dict[str, Any], voice: dict[str, Any], folder: Path) -> Recording:
    return Recording(
        id=row["id"],
        text=row["text"],
        kind=row["kind"],
        set=row["set"],
        voice=voice["id"],
        source=voice["source"],
        licence=voice["licence"],
        human=voice["human"],
        facts=tuple(tuple(group) for group in row.get("facts", ())),
        path=folder / f"{row['id']}.wav",
    )


def with_noise(
    pcm: NDArray[np.int16], snr_db: float, kind: Noise = "white", seed: int = 0
) -> NDArray[np.int16]:
    """The same audio with line noise `snr_db` below its speech (pauses do not count); shape (n,) in and out.

    The same arguments give the same samples. Digital silence stays silence.
    """
    level = speech_rms(pcm) * 10 ** (-snr_db / 20)
    if not level:
        return pcm.copy()
    noise = np.random.default_rng(seed).standard_normal(len(pcm))
    if kind == "pink":
        spectrum = np.fft.rfft(noise)
        spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
        spectrum[:1] = 0.0
        noise = np.fft.irfft(spectrum, len(pcm))
    mixed: NDArray[np.float64] = pcm + noise * (level / np.sqrt(np.mean(noise**2)))
    return np.clip(np.rint(mixed), -32_768, 32_767).astype(np.int16)


def speech_rms(pcm: NDArray[np.int16], frame: int = 160) -> float:
    """RMS of the frames that hold speech (20 ms by default), in int16 units; 0 for silence."""
    if not len(pcm):
        return 0.0
    padded = np.zeros(-(-len(pcm) // frame) * frame)
    padded[: len(pcm)] = pcm
    power: NDArray[np.float64] = np.mean(padded.reshape(-1, frame) ** 2, axis=1)
    active = power[power >= power.max() * 10 ** (-_ACTIVE_DB / 10)]
    return float(np.sqrt(active.mean()))


def write_ulaw_wav(path: Path, ulaw: bytes) -> None:
    """Write mu-law audio, 8,000 Hz mono, with the 58-byte header that format 7 asks for."""
    padded = ulaw + b"\x00" * (len(ulaw) % 2)
    body = b"".join(
        [
            _CHUNK.pack(b"fmt ", _FORMAT.size),
            _FORMAT.pack(_ULAW_FORMAT, 1, HZ, HZ, 1, 8, 0),
            _CHUNK.pack(b"fact", 4),
            struct.pack("<I", len(ulaw)),
            _CHUNK.pack(b"data", len(ulaw)),
            padded,
        ]
    )
    path.write_bytes(_RIFF.pack(b"RIFF", 4 + len(body), b"WAVE") + body)


def read_ulaw_wav(path: Path) -> bytes:
    """The mu-law bytes of an 8,000 Hz mono WAV file; raises UsageError for anything else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) < _RIFF.size or data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise UsageError(f"{path} is not a WAV file")
    at, right_format = _RIFF.size, False
    while at + _CHUNK.size <= len(data):
        name, size = _CHUNK.unpack_from(data, at)
        body = data[at + _CHUNK.size : at + _CHUNK.size + size]
        if name == b"fmt ":
            right_format = len(body) >= 8 and struct.unpack_from("<HHI", body) == (_ULAW_FORMAT, 1, HZ)
        elif name == b"data" and right_format and len(body) == size:
            return body
        at += _CHUNK.size + size + size % 2
    raise UsageError(f"{path} is not whole mu-law audio at {HZ} Hz, mono")

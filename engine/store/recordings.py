"""Recordings on disk: one stereo PCM16 WAV a call, the caller left and the agent right, at 8,000 Hz.

    <folder>/<company_id>/<call_id>.wav

A file is opened for each block and closed again, so that at any moment it can be played, copied or continued
by another process. One writer at a time; the work blocks, so keep it off an event loop.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from engine.audio.g711 import SAMPLE_RATE_HZ, ulaw_to_pcm
from engine.audio.wav import WavWriter
from engine.call.tape import BLOCK_SAMPLES, Block
from engine.errors import Refused, UsageError

_SAFE_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SILENCE = np.zeros((BLOCK_SAMPLES, 2), np.int16)


class Recordings:
    """All recordings of an installation. Methods raise Refused for an id that is unsafe as a file name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def folder(self, company_id: str) -> Path:
        """Where a company's recordings are, or would be."""
        return self._folder / _safe(company_id)

    def path(self, company_id: str, call_id: str) -> Path:
        """Where a call's recording is, or would be."""
        return self.folder(company_id) / f"{_safe(call_id)}.wav"

    def blocks(self, company_id: str, call_id: str) -> int:
        """How many seconds are recorded, a begun one included; raises UsageError for a damaged file."""
        path = self.path(company_id, call_id)
        if not path.exists():
            return 0
        with WavWriter(path, SAMPLE_RATE_HZ) as wav:
            return -(-wav.samples // BLOCK_SAMPLES)

    def write(self, company_id: str, call_id: str, block: Block) -> None:
        """Append a block, after silence for those that are missing; what is recorded already stays.

        Raises UsageError where the disk does not take it; what it did take is completed by a repetition.
        """
        path = self.path(company_id, call_id)
        pcm = np.stack([ulaw_to_pcm(block.caller), ulaw_to_pcm(block.agent)], axis=1)
        begins = block.number * BLOCK_SAMPLES
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.parent.mkdir(mode=0o700, exist_ok=True)
            with WavWriter(path, SAMPLE_RATE_HZ) as wav:
                while (missing := begins - wav.samples) > 0:
                    wav.write(_SILENCE[:missing])
                wav.write(pcm[wav.samples - begins :])
        except OSError as error:
            raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _safe(name: str) -> str:
    # Ids come from carriers: one may be made to point elsewhere.
    if not _SAFE_NAME.fullmatch(name):
        raise Refused(f"{name[:140]!r} cannot name a recording: use 1 to 128 of A-Z a-z 0-9 _ -")
    return name

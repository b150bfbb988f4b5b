"""The caller's words as they arrive: one growing stretch of mu-law audio."""

from __future__ import annotations

from engine.providers.base import SAMPLE_RATE_HZ

ULAW_SILENCE = b"\xff"
MAX_GAP_SAMPLES = 2 * SAMPLE_RATE_HZ
MAX_SAMPLES = 300 * SAMPLE_RATE_HZ


class Utterance:
    """Pieces joined at their positions; pauses, which are never sent, come back as silence.

    Holds the last five minutes at most: a caller who never pauses must not fill the actor.
    """

    def __init__(self) -> None:
        self._audio = bytearray()
        self._end: int | None = None

    def push(self, at: int, ulaw: bytes) -> bytes:
        """Add a piece that starts at sample `at` of the call; returns what of it was not heard before."""
        if self._end is not None:
            gap = at - self._end
            if gap < 0:
                ulaw = ulaw[-gap:]
            self._audio += ULAW_SILENCE * min(max(gap, 0), MAX_GAP_SAMPLES)
        self._audio += ulaw
        self._end = max(at + len(ulaw), self._end or 0) if ulaw else self._end
        del self._audio[:-MAX_SAMPLES]
        return ulaw

    def audio(self) -> bytes:
        return bytes(self._audio)

    def clear(self) -> None:
        self._audio.clear()
        self._end = None

    def __len__(self) -> int:
        return len(self._audio)

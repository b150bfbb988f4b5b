"""How early an answer is prepared in a pause, and what of that was for nothing.

Preparing at the first sign of a pause makes answers quick, and most pauses within a sentence make it vain. So
it is done where it costs nobody anything, and put off where it does: when transcripts come slowly, because
other calls want the same models, and when this caller hesitates much.
"""

from __future__ import annotations

from collections import Counter

from engine.dialog.attempt import Attempt
from engine.dialog.reply import Kind
from engine.providers.pace import Pace

HESITANT_MS, SETTLED_MS, LATE_MS = 160.0, 200.0, 240.0
"""Silence by which half, three quarters and nearly all of the pauses within a sentence are over."""
BUSY, OVERLOADED = 1.6, 2.5
"""Transcripts take so many times as long as they would alone."""
VAIN_ATTEMPTS = 4
"""After so many in one utterance the caller is one who hesitates."""


class Speculation:
    """One call's. Knows the load from what comes with its own transcripts, so it needs no messages."""

    def __init__(self) -> None:
        self._pace = Pace()
        self._load = self._previous = 1.0
        self._vain: Counter[str] = Counter()

    @property
    def is_loaded(self) -> bool:
        """Whether other calls want what this one would have made in a pause."""
        return self._load >= BUSY

    @property
    def wait_ms(self) -> float:
        """Silence after which an answer is to be prepared; 0: at once."""
        if self._load >= OVERLOADED:
            return LATE_MS
        if self.is_loaded:
            return SETTLED_MS
        return HESITANT_MS if self._vain["transcripts"] >= VAIN_ATTEMPTS else 0.0

    def transcribed(self, took_ms: float, load: float | None = None) -> None:
        """A transcript came after so long; `load`: as its provider tells, who sees all calls."""
        if load is not None:
            self._load = load
            return
        latest = self._pace.load(took_ms)
        # One slow transcript may be one that was decoded twice.
        self._load, self._previous = min(latest, self._previous), latest

    def dropped(self, attempt: Attempt) -> None:
        """An attempt was for nothing: count how far it had come."""
        if not attempt.begun:
            return
        self._vain["transcripts"] += 1
        if attempt.reply is None or attempt.reply.kind is not Kind.REPLY:
            return
        self._vain["replies"] += 1
        if any(piece.total for piece in attempt.reply.pieces):
            self._vain["clauses"] += 1

    def turn_over(self) -> dict[str, int]:
        """What was made in vain in the turn that ends here."""
        vain, self._vain = dict(self._vain), Counter()
        return vain

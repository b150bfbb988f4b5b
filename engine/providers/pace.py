"""How busy whoever does the work is, told from how long it takes."""

from __future__ import annotations

SLACK_MS = 60.0
"""A longer utterance takes a little longer too: no sign of load."""


class Pace:
    """Of one kind of work, such as the transcripts of one call, or all of a replica.

    `usual`: the quickest of much work is quicker than usual, by so much.
    """

    def __init__(self, usual: float = 1.0) -> None:
        self._quickest_ms = float("inf")
        self._usual = usual

    def load(self, took_ms: float) -> float:
        """So many times as long as usual; 1 where it took about as long as that."""
        self._quickest_ms = min(self._quickest_ms, took_ms)
        usual_ms = self._quickest_ms * self._usual
        return took_ms / usual_ms if took_ms > usual_ms + SLACK_MS else 1.0

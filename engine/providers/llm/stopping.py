"""Ending a reply at a stop sequence here, where the vendor does not look for it.

OpenAI's models that think take no stop sequences, and Anthropic takes none that are white space alone.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopCutter:
    """Streams text up to the first of the sequences. Holds back only what may be the beginning of one."""

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._stop = tuple(sequence for sequence in stop if sequence)
        self._held = ""
        self.stopped = False

    def push(self, text: str) -> str:
        """The next piece of the reply -> what can be said of it. Nothing, once `stopped`."""
        if self.stopped:
            return ""
        held = self._held + text
        ends = [at for sequence in self._stop if (at := held.find(sequence)) >= 0]
        if ends:
            self.stopped, self._held = True, ""
            return held[: min(ends)]
        free = len(held) - max((_begun_at_the_end(held, each) for each in self._stop), default=0)
        self._held = held[free:]
        return held[:free]

    def end(self) -> str:
        """No more text will come: what was held back was no stop sequence."""
        held, self._held = self._held, ""
        return held


def _begun_at_the_end(text: str, sequence: str) -> int:
    """How many characters at the end of `text` are the beginning of `sequence`."""
    return next((size for size in range(len(sequence) - 1, 0, -1) if text.endswith(sequence[:size])), 0)

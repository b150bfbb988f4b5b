"""A reply in whole words: what has been let through can be gone on with by another model."""

from __future__ import annotations


class WholeWords:
    """Holds back the word that may not be complete, and the space before it."""

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> str:
        """The next piece of a reply -> what is complete of it."""
        self._held += text
        end = len(self._held)
        while end and (self._held[end - 1].isalnum() or self._held[end - 1] in "'’-"):
            end -= 1
        while end and self._held[end - 1].isspace():
            end -= 1
        whole, self._held = self._held[:end], self._held[end:]
        return whole

    def end(self) -> str:
        """No more text will come: the rest."""
        rest, self._held = self._held, ""
        return rest

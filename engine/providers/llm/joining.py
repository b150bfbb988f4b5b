"""From the pieces that a model sends to the text of a reply: how it begins, goes on and ends."""

from __future__ import annotations

from collections.abc import Sequence

from engine.providers.llm.continuation import RepeatStripper
from engine.providers.llm.stopping import StopCutter

_NO_SPACE_BEFORE = frozenset(".,;:!?%)]}…'’”»-–—")


class ReplyText:
    """Streams a reply's text by the rules of `OpenAICompatible`.

    `begun`: what the caller has heard of it, without space at its end. `in_words`: the model was asked in
    words to go on, and begins anew: its first word may repeat what was heard and lacks the space before it.
    `stop`: sequences that are looked for here; the vendor's own have no need to be given.
    """

    def __init__(self, begun: str = "", *, in_words: bool = False, stop: Sequence[str] = ()) -> None:
        self._begun = begun
        self._in_words = in_words
        self._repeats = RepeatStripper(begun)
        self._cutter = StopCutter(stop)
        self._started = False

    @property
    def stopped(self) -> bool:
        """A stop sequence came: the reply is over, whatever more the model sends."""
        return self._cutter.stopped

    def push(self, piece: str) -> str:
        return self._cutter.push(self._join(self._repeats.push(piece)))

    def end(self) -> str:
        """No more pieces will come: the text that was held back."""
        return self._cutter.push(self._join(self._repeats.end())) + self._cutter.end()

    def _join(self, text: str) -> str:
        """How a reply begins: without space, or, asked to go on in words, with one before its first word."""
        if self._started or not text:
            return text
        if not self._begun:
            text = text.lstrip()
        elif self._in_words and not (text[0].isspace() or text[0] in _NO_SPACE_BEFORE):
            text = " " + text
        self._started = text != ""
        return text

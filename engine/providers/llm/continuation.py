"""Going on with a reply that was begun, without saying its beginning twice.

Servers that prefill may echo what they were given; models that are asked in words repeat all of it, or
its last words. The caller has heard them.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"\S+\s*")


def _same(word: str) -> str:
    return word.strip().casefold().strip(".,;:!?\"'")


class RepeatStripper:
    """Streams a reply and drops a beginning that repeats `begun`, or the last words of it.

    Words are compared without case and outer punctuation. Text is held back only as long as it might
    still be a repetition.
    """

    def __init__(self, begun: str) -> None:
        self._begun = [_same(word) for word in begun.split()]
        self._held = ""
        self._decided = not self._begun

    def push(self, text: str) -> str:
        """The next piece of the reply -> what of it is new, as far as that is known."""
        if self._decided:
            return text
        self._held += text
        return self._decide(final=False)

    def end(self) -> str:
        """No more text will come: what was held back and is new."""
        return "" if self._decided else self._decide(final=True)

    def _decide(self, *, final: bool) -> str:
        words = _WORD.findall(self._held.lstrip())
        complete = final or self._held[-1:].isspace()
        for start in range(len(self._begun)):
            repeated = self._begun[start:]
            if len(words) < len(repeated) or (len(words) == len(repeated) and not complete):
                if not final and self._may_become(repeated, words, complete=complete):
                    return ""
            elif [_same(word) for word in words[: len(repeated)]] == repeated:
                return self._release(words, len(repeated))
        return self._release(words, 0)

    @staticmethod
    def _may_become(repeated: list[str], words: list[str], *, complete: bool) -> bool:
        if not words:
            return True
        whole, last = (
            ([_same(word) for word in words], "")
            if complete
            else (
                [_same(word) for word in words[:-1]],
                words[-1].strip().casefold(),
            )
        )
        expected = repeated[len(whole)] if len(whole) < len(repeated) else ""
        return repeated[: len(whole)] == whole and expected.startswith(last.strip(".,;:!?\"'"))

    def _release(self, words: list[str], repeated: int) -> str:
        self._decided = True
        held, self._held = self._held, ""
        if not repeated:
            return held
        rest = "".join(words[repeated:])
        tail = words[repeated - 1]
        return tail[len(tail.rstrip()) :] + rest

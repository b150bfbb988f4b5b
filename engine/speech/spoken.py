"""Text that remembers where it came from: a place in what is spoken is a place in what was written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Spoken [start, end) stands for written [written_start, written_end), as one whole; in characters."""

    start: int
    end: int
    written_start: int
    written_end: int


@dataclass(frozen=True, slots=True)
class Spoken:
    """`text` is what is said for `written`; `spans` are its rewritten places in order, the rest the same."""

    text: str
    written: str
    spans: tuple[Span, ...] = ()

    def written_position(self, spoken_chars: int) -> int:
        """How many written characters were said when `spoken_chars` of the text were: 0 to len(written).

        Inside a rewritten place it is the place's beginning: what was half said does not count.
        Never decreases as `spoken_chars` grows.
        """
        if spoken_chars >= len(self.text):
            return len(self.written)
        position, offset = max(0, spoken_chars), 0
        for span in self.spans:
            if position < span.start:
                break
            if position < span.end:
                return span.written_start
            offset = span.written_end - span.end
        return position + offset


Replacement = str | Callable[[re.Match[str]], str | None]


class Draft:
    """Written text on its way to spoken text: rewritten pass by pass, every character keeping its origin."""

    def __init__(self, written: str) -> None:
        self.written = written
        self.text = written
        # The written span behind each character; characters of one rewriting share one span.
        self._origin = [(index, index + 1) for index in range(len(written))]

    def sub(self, pattern: re.Pattern[str], replacement: Replacement) -> None:
        """`re.sub`, except that None from a callable leaves that match alone, and a string is literal."""
        text: list[str] = []
        origin: list[tuple[int, int]] = []
        end = 0
        for match in pattern.finditer(self.text):
            new = replacement if isinstance(replacement, str) else replacement(match)
            if new is None or new == match.group() or match.start() == match.end():
                continue
            text.append(self.text[end : match.start()])
            text.append(new)
            origin += self._origin[end : match.start()]
            whole = (self._origin[match.start()][0], self._origin[match.end() - 1][1])
            origin += [whole] * len(new)
            end = match.end()
        self.text = "".join(text) + self.text[end:]
        self._origin = origin + self._origin[end:]

    def spoken(self) -> Spoken:
        """The result. Written characters that are not spoken count once what stands before them was said."""
        spans: list[Span] = []
        start, total = 0, len(self.text)
        offset = 0
        while start < total:
            written_start, written_end = self._origin[start]
            end = start + 1
            while end < total and self._origin[end] == (written_start, written_end):
                end += 1
            shift = written_end - end
            if end - start > 1 or written_end - written_start != 1 or shift != offset:
                spans.append(Span(start, end, written_start, written_end))
            offset = shift
            start = end
        return Spoken(self.text, self.written, tuple(spans))

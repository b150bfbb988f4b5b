"""Text as tokens that compare: 'Eight-thirty a.m.' and '8:30 AM' become the same ones. Pure text, English.

Numbers in words become digits, ordinals become '8th', plurals and possessives lose their s, signs and
punctuation go. Digits that stand alone stay apart ('5 5 5'); `judge` also looks at them run together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_UNITS = {
    "zero": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15,
    "sixteen": 16, "seventeen": 17, "eighteen": 18, "nineteen": 19,
}  # fmt: skip
_TENS = {
    "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80,
    "ninety": 90,
}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000}
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fifth": 5, "eighth": 8, "ninth": 9, "twelfth": 12, "twentieth": 20,
    "thirtieth": 30,
}  # fmt: skip
_ORDINALS |= {word + "th": value for word, value in _UNITS.items() if word + "th" not in _ORDINALS}
_DROPPED = frozenset({"a", "an", "the", "oclock"})
_WORD = re.compile(r"\d+(?:st|nd|rd|th)\b|\d+|[^\W\d_]+")


def tokens(text: str) -> list[str]:
    """The comparable tokens of a sentence, in order."""
    text = text.lower().replace("’", "'").replace("%", " percent ").replace("&", " and ")
    text = re.sub(r"\b([ap])\.?\s?m\b\.?", r"\1m", text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<=\d)[:.]00\b", "", text)
    text = re.sub(r"\b(\d{1,2}(?::\d\d)?)\s*[-–]\s*(?=\d{1,2}\b(?!-))", r"\1 to ", text)
    text = re.sub(r"'s\b", "", text).replace("o'clock", " ").replace("'", "")
    words = [word for word in _WORD.findall(text) if word not in _DROPPED]
    return [_singular(token) for token in _numbers(words)]


def _singular(token: str) -> str:
    return token[:-1] if len(token) > 3 and token.isalpha() and token.endswith("s") else token


def _numbers(words: list[str]) -> Iterator[str]:
    """The words with runs of number words replaced by digits."""
    at = 0
    while at < len(words):
        word = words[at]
        if word in _ORDINALS and word != "second":
            yield _ordinal(_ORDINALS[word])
        elif word in _UNITS or word in _TENS or (word == "hundred"):
            value, used = _spoken(words[at:])
            at += used
            if at < len(words) and words[at] in _ORDINALS and value % 10 == 0 and 20 <= value % 100 <= 90:
                yield _ordinal(value + _ORDINALS[words[at]])
                at += 1
            else:
                yield str(value)
            continue
        elif word == "oh" and {"oh", *_UNITS} & {*words[max(at - 1, 0) : at], *words[at + 1 : at + 2]}:
            yield "0"
        else:
            yield word
        at += 1


def _spoken(words: list[str]) -> tuple[int, int]:
    """The number that `words` begin with and how many words it takes: 'two hundred and five' -> 205, 4."""
    total, group, last, used = 0, 0, 0, 0
    for index, word in enumerate(words):
        if word in _UNITS:
            value = _UNITS[word]
            # Two numbers side by side, such as 'five five' or 'eight thirty', are not one number.
            if last and not (last >= 100 or (20 <= last <= 90 and 0 < value < 10)):
                break
            if value == 0 and used:
                break
            group, last = group + value, value or 1
        elif word in _TENS:
            if last and last < 100:
                break
            group, last = group + _TENS[word], _TENS[word]
        elif word in _SCALES and (used or word == "hundred"):
            scale = _SCALES[word]
            if scale == 100:
                group = max(group, 1) * 100
            else:
                total, group = total + max(group, 1) * scale, 0
            last = scale
        elif word == "and" and last >= 100 and index + 1 < len(words) and words[index + 1] in _UNITS | _TENS:
            continue
        else:
            break
        used = index + 1
    return total + group, used


def _ordinal(value: int) -> str:
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{value}{ending}"

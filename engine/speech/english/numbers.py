"""Numbers as English words."""

from __future__ import annotations

_SCALES = {
    "k": "thousand",
    "m": "million",
    "mm": "million",
    "b": "billion",
    "bn": "billion",
    "thousand": "thousand",
    "million": "million",
    "billion": "billion",
    "trillion": "trillion",
}
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = (
    "ten", "eleven", "twelve", "thirteen", "fourteen",
    "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_SMALL = _DIGITS + _TEENS
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_THOUSANDS = ("", " thousand", " million", " billion", " trillion")
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}
MAX_DIGITS = 15
"""A longer number is no amount that anybody can follow: it is read digit by digit."""


def cardinal(number: str) -> str:
    """'1,250.50' -> 'one thousand two hundred and fifty point five zero'; digits, commas and one point."""
    whole, _, fraction = number.replace(",", "").partition(".")
    words = digits(whole) if len(whole) > MAX_DIGITS else _words(int(whole or "0"))
    return f"{words} point {digits(fraction)}" if fraction else words


def _words(number: int) -> str:
    """0 to 999,999,999,999,999."""
    groups, rest = [], number
    for name in _THOUSANDS:
        rest, group = divmod(rest, 1000)
        if group:
            groups.append(_below_thousand(group) + name)
    if len(groups) > 1 and 0 < number % 1000 < 100:
        groups[0] = f"and {groups[0]}"
    return " ".join(reversed(groups)) or _SMALL[0]


def _below_thousand(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    tens, ones = divmod(rest, 10)
    small = _SMALL[rest] if rest < len(_SMALL) else "-".join([_TENS[tens], *([_SMALL[ones]] if ones else [])])
    if not hundreds:
        return small
    return f"{_SMALL[hundreds]} hundred and {small}" if rest else f"{_SMALL[hundreds]} hundred"


def ordinal(number: str) -> str:
    """'21' -> 'twenty-first'."""
    if len(number) > MAX_DIGITS:
        return digits(number)
    words = _words(int(number))
    start = max(words.rfind(" "), words.rfind("-")) + 1
    last = words[start:]
    regular = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return words[:start] + _ORDINALS.get(last, regular)


def year(number: str) -> str:
    """'1984' -> 'nineteen eighty-four', '2005' -> 'two thousand five', '2025' -> 'twenty twenty-five'."""
    century, rest = int(number[:2]), int(number[2:])
    if rest == 0:
        return cardinal(number) if century % 10 == 0 else f"{cardinal(number[:2])} hundred"
    if century % 10 == 0 and rest < 10:
        return f"{cardinal(number[:2] + '00')} {cardinal(number[2:])}"
    tail = f"oh {cardinal(number[2:])}" if rest < 10 else cardinal(number[2:])
    return f"{cardinal(number[:2])} {tail}"


def decade(number: str) -> str:
    """'1990' -> 'nineteen nineties', '90' -> 'nineties'."""
    words = year(number) if len(number) == 4 else cardinal(number)
    return words[:-1] + "ies" if words.endswith("y") else words + "s"


def digits(number: str) -> str:
    """'0123' -> 'zero one two three'; what is no digit is left out."""
    return " ".join(_DIGITS[int(char)] for char in number if char in "0123456789")


def scaled(number: str, scale: str | None) -> str:
    """('1.5', 'M') -> 'one point five million'."""
    return f"{cardinal(number)} {_SCALES[scale.lower()]}" if scale else cardinal(number)


def clock(hour: int, minute: int, half: str) -> str:
    """A time of day; `half` is 'AM', 'PM' or ''. Without it, hours from 13 on become the afternoon's."""
    if not half and (hour > 12 or hour == 0):
        hour, half = (hour - 12, "PM") if hour > 12 else (12, "AM")
    words = cardinal(str(hour))
    if minute:
        words += f" oh {cardinal(str(minute))}" if minute < 10 else f" {cardinal(str(minute))}"
    elif not half:
        return f"{words} o'clock"
    return f"{words} {half}".rstrip()

"""Money, percentages, ranges, ordinals, fractions and plain numbers."""

from __future__ import annotations

import re

from engine.speech.english.numbers import cardinal, ordinal, scaled
from engine.speech.spoken import Replacement

_NUMBER = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?"
_DASH = r"\s?[-–—]\s?"
_SCALE = r"(?:(?P<short>[kKmMbB]|bn|BN)\b|\s(?P<scale>thousand|million|billion|trillion)\b)?"
_PER = (
    r"(?:\s?/\s?(?P<per>month|mo|hour|hr|day|night|week|wk|year|yr|person|visit|unit|minute|min|item|each|"
    r"lb|oz|kg|ft)\b)?"
)
_CURRENCIES = {
    "$": ("dollar", "cent"),
    "us$": ("US dollar", "cent"),
    "usd": ("US dollar", "cent"),
    "£": ("pound", "penny"),
    "gbp": ("pound", "penny"),
    "€": ("euro", "cent"),
    "eur": ("euro", "cent"),
    "¥": ("yen", ""),
    "₹": ("rupee", "paisa"),
}
_PLURALS = {"penny": "pence", "yen": "yen", "paisa": "paise"}
_PER_WORDS = {"mo": "month", "hr": "hour", "wk": "week", "yr": "year", "min": "minute"} | {
    "lb": "pound",
    "oz": "ounce",
    "kg": "kilogram",
    "ft": "foot",
}

_MONEY_RANGE = re.compile(
    rf"(?P<sign>US\$|[$£€¥₹])\s?(?P<start>{_NUMBER}[kKmM]?){_DASH}[$£€¥₹]?\s?(?={_NUMBER})"
)
_MONEY = re.compile(rf"(?P<sign>US\$|[$£€¥₹])\s?(?P<amount>{_NUMBER})(?![.,]?[0-9]){_SCALE}{_PER}")
_MONEY_AFTER = re.compile(
    rf"(?<![\w.,])(?P<amount>{_NUMBER}){_SCALE}\s?(?P<sign>[£€]|(?:USD|GBP|EUR)\b){_PER}"
)

_ALWAYS_OPEN = re.compile(r"\b24/7\b")
_FRACTIONS = {
    "1/2": "one half",
    "1/3": "one third",
    "2/3": "two thirds",
    "1/4": "one quarter",
    "3/4": "three quarters",
    "½": "one half",
    "⅓": "one third",
    "⅔": "two thirds",
    "¼": "one quarter",
    "¾": "three quarters",
}
_FRACTION = re.compile(
    r"(?<![\w./,])(?:(?P<whole>[0-9]{1,3})(?: (?=[0-9])|(?=[½⅓⅔¼¾])))?(?P<part>[123]/[234](?![\w/.])|[½⅓⅔¼¾])"
)
_SCORE = re.compile(r"(?<=[0-9])/(?=[0-9])")
_RANGE = re.compile(r"(?<=[0-9%])\s?[-–—]\s?(?=[$£€]?[0-9])")
_MINUS = re.compile(r"(?<![\w).])[-−](?=[0-9])")
_ORDINAL = re.compile(r"(?<![\w.,])(?P<number>[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:st|nd|rd|th)\b")
_SIGN_WORDS = {"%": "percent", "°": "degrees", "°c": "degrees Celsius", "°f": "degrees Fahrenheit"}
_SIGN = re.compile(r"(?<=[0-9])\s?(?P<sign>%|°\s?[CF]\b|°)(?P<touching>(?=\w)?)")
_TIMES = re.compile(r"(?<=[0-9])\s?[x×*]\s?(?=[0-9])")
_PLAIN = re.compile(
    rf"(?<![\w.])(?<![0-9],)(?P<number>{_NUMBER})(?![.,]?[0-9])(?:(?P<scale>[kKM]|bn)\b)?(?!\w)"
)


def money(amount: str, scale: str | None, sign: str) -> str:
    """('1.50', None, '$') -> 'one dollar and fifty cents'; ('2', 'million', '$') -> 'two million dollars'."""
    major, minor = _CURRENCIES[sign.lower()]
    whole, _, fraction = amount.replace(",", "").partition(".")
    if scale or (fraction and (len(fraction) != 2 or not minor)):
        return f"{scaled(amount, scale)} {_many(major)}"
    parts = []
    if int(whole) or not int(fraction or "0"):
        parts.append(_counted(whole, major))
    if int(fraction or "0"):
        parts.append(_counted(fraction, minor))
    return " and ".join(parts)


def _counted(number: str, unit: str) -> str:
    return f"{cardinal(number)} {unit if int(number) == 1 else _many(unit)}"


def _many(unit: str) -> str:
    return _PLURALS.get(unit, f"{unit}s")


def _money(match: re.Match[str]) -> str:
    per = match["per"]
    if per:
        per = "each" if per == "each" else f"per {_PER_WORDS.get(per, per)}"
    words = money(match["amount"], match["short"] or match["scale"], match["sign"])
    return f"{words} {per}" if per else words


def _money_start(match: re.Match[str]) -> str:
    """The first amount of a range is said without its unit: '$60-80' is sixty to $80."""
    return f"{match['start']} to {match['sign']}"


def _fraction(match: re.Match[str]) -> str | None:
    words = _FRACTIONS.get(match["part"])
    if words is None or not match["whole"]:
        return words
    return f"{cardinal(match['whole'])} and {words.replace('one ', 'a ', 1)}"


def _sign(match: re.Match[str]) -> str:
    return " " + _SIGN_WORDS[match["sign"].replace(" ", "").lower()]


def _plain(match: re.Match[str]) -> str:
    return scaled(match["number"], match["scale"])


Passes = tuple[tuple[re.Pattern[str], Replacement], ...]

MONEY: Passes = (
    (_MONEY_RANGE, _money_start),
    (_MONEY, _money),
    (_MONEY_AFTER, _money),
)
NUMBERS: Passes = (
    (_ALWAYS_OPEN, "twenty-four seven"),
    (_FRACTION, _fraction),
    (_SCORE, " out of "),
    (_RANGE, " to "),
    (_MINUS, "minus "),
    (_TIMES, " by "),
    (_SIGN, _sign),
    (_ORDINAL, lambda match: ordinal(match["number"].replace(",", ""))),
    (_PLAIN, _plain),
)

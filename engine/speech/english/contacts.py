"""E-mail addresses, URLs, telephone numbers and codes."""

from __future__ import annotations

import re

from engine.speech.english.numbers import digits
from engine.speech.spoken import Replacement

_TOP_LEVEL = (
    "com|org|net|edu|gov|mil|io|ai|app|dev|co|info|biz|us|uk|ca|au|nz|ie|eu|de|fr|es|it|nl|ch|at|se|no|in|jp|"
    "health|care|clinic|shop|store|online|tech|me"
)
_EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+){0,4}\.[A-Za-z]{2,}\b")
_URL = re.compile(r"\bhttps?://(?P<address>[^\s<>\"')\]]*[\w/])", re.IGNORECASE)
_DOMAIN = re.compile(
    rf"(?<![\w@.-])(?P<address>(?:[a-z0-9][a-z0-9-]{{0,62}}\.){{1,5}}(?:{_TOP_LEVEL})\b(?:/[\w/.~%-]*[\w/])?)(?![\w@])",
    re.IGNORECASE,
)
_ADDRESS_SIGNS = {
    ".": "dot",
    "@": "at",
    "-": "dash",
    "_": "underscore",
    "/": "slash",
    "+": "plus",
    "~": "tilde",
}
_ADDRESS_PART = re.compile(r"[0-9]+|[^\W\d_]+|[-.@_/+~]")

_DIGIT_END = r"(?!\w|-[0-9]|\.[0-9])"
_PHONE = re.compile(
    r"(?<![\w.,$£€-])(?:\+?1[-. ]?)?(?:\([0-9]{3}\) ?|[0-9]{3}[-. ])[0-9]{3}[-. ][0-9]{4}"
    + _DIGIT_END
    + r"|(?<![\w.])\+[0-9]{1,3}(?:[-. ]?\(?[0-9]{1,5}\)?){2,6}(?!\w)"
    + r"|(?<![\w.,$£€-])[0-9]{3}-[0-9]{4}"
    + _DIGIT_END
)
_GROUPED = re.compile(r"(?<![\w-])(?![12][0-9]{3}-)[0-9]{2,}(?:-[0-9]{2,}){2,}(?![\w-])")
_NUMBERED_THINGS = (
    "zip|area|access|entry|post|postal|order|account|reference|confirmation|room|suite|flight|ticket|claim|case|"
    "policy|member|extension|phone"
)
_CODE = re.compile(
    rf"(?P<before>\b(?:(?:{_NUMBERED_THINGS}) (?:code|number|id)(?: is|:)?|"
    rf"(?:{_NUMBERED_THINGS}|(?:code|pin|id)(?: is)?):?)"
    r" ?#?)(?P<digits>[0-9]{3,})\b(?![,.:/%-][0-9]|%)",
    re.IGNORECASE,
)
_ZIP = re.compile(r"(?P<before>\b[A-Z]{2} )(?P<digits>[0-9]{5})\b(?![,.:/%][0-9]|%)")
_SINGLE = re.compile(r"(?<![\w.,:/$£€#-])(?:911|988|411|0[0-9]+|[0-9]{7,})(?![\w,:/%-]|\.[0-9])(?! ?%)")
_GROUP = re.compile(r"[0-9]+")


def _address(match: re.Match[str]) -> str:
    """Signs become words, figures single digits: a caller has to be able to write it down."""
    text = match["address"] if "address" in match.re.groupindex else match.group()
    text = text.partition("?")[0].partition("#")[0].rstrip("/")
    if text.lower().startswith("www."):
        text = "w w w." + text[4:]
    words = []
    for part in _ADDRESS_PART.findall(text):
        words.append(digits(part) if part[0].isdecimal() else _ADDRESS_SIGNS.get(part, part))
    return " ".join(words)


def _groups(match: re.Match[str]) -> str:
    """Digit by digit, with a pause between the groups as they were written."""
    plus = "plus " if match.group().startswith("+") else ""
    return plus + ", ".join(digits(group) for group in _GROUP.findall(match.group()))


def _code(match: re.Match[str]) -> str:
    return match["before"].replace("#", "") + digits(match["digits"])


PASSES: tuple[tuple[re.Pattern[str], Replacement], ...] = (
    (_EMAIL, _address),
    (_URL, _address),
    (_DOMAIN, _address),
    (_PHONE, _groups),
    (_GROUPED, _groups),
    (_CODE, _code),
    (_ZIP, _code),
    (_SINGLE, lambda match: digits(match.group())),
)

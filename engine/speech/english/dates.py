"""Dates, years, weekdays and times of day."""

from __future__ import annotations

import re

from engine.speech.english.numbers import clock, decade, ordinal, year
from engine.speech.spoken import Replacement

_MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    {name[:3]: name for name in _MONTH_NAMES} | {name: name for name in _MONTH_NAMES} | {"Sept": "September"}
)
_DAYS = {name[:3]: name for name in _DAY_NAMES} | {name: name for name in _DAY_NAMES}
_DAYS |= {"Tues": "Tuesday", "Thur": "Thursday", "Thurs": "Thursday"}

_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DAY = "|".join(sorted(_DAYS, key=len, reverse=True))
_DASH = r"\s?[-–—]\s?"
_YEAR = r"(?:1[1-9]|20)[0-9]{2}"
_DATE = r"(?:3[01]|[12][0-9]|0?[1-9])"
_SUFFIX = r"(?:st|nd|rd|th)?"
_HALF = r"\s?[AaPp](?:\.\s?[Mm]\.|\.?[Mm]\b)"

_ISO_DATE = re.compile(rf"\b(?P<year>{_YEAR})-(?P<month>[01][0-9])-(?P<day>{_DATE})\b")
_SLASH_DATE = re.compile(
    rf"(?<![\w/])(?P<first>{_DATE})/(?P<second>{_DATE})/(?P<year>{_YEAR}|[0-9]{{2}})(?![\w/])"
)
_MONTH_DATE = re.compile(
    rf"\b(?P<month>{_MONTH})\b\.? (?P<day>{_DATE}){_SUFFIX}\b(?!:?[0-9]|\.[0-9]|{_HALF}|%)"
    rf"(?:{_DASH}(?P<last>{_DATE}){_SUFFIX}\b(?!:))?(?:,? (?P<year>{_YEAR})\b)?"
)
_DATE_MONTH = re.compile(
    rf"(?<![\w:.,-])(?:the )?(?P<day>{_DATE}){_SUFFIX} (?:of )?(?P<month>{_MONTH})\b\.?"
    rf"(?:,? (?P<year>{_YEAR})\b)?"
)
_MONTH_SHORT = re.compile(rf"\b(?P<month>{_MONTH})\.?(?= {_YEAR}\b)")
_DECADE = re.compile(r"(?<![\w.])['’]?(?P<decade>1[1-9][0-9]0|20[0-9]0|[2-9]0)['’]?s\b")
_CALENDAR_YEAR = re.compile(
    rf"\b(?P<before>(?:in|since|of|year|until|till|from|before|after|early|late|mid|spring|summer|autumn|fall|"
    rf"winter|{'|'.join(_MONTH_NAMES)}),? )(?P<year>{_YEAR})\b(?![,.:/%][0-9]|%)"
    rf"(?! (?:people|dollars|miles|hours|customers))"
    rf"(?:{_DASH}(?P<last>{_YEAR})\b)?",
    re.IGNORECASE,
)

_CLOCK_RANGE = re.compile(
    rf"(?<![\w.:$£€-])(?P<start>(?:2[0-3]|[01]?[0-9])(?::[0-5][0-9])?(?:{_HALF})?|noon|midnight){_DASH}"
    rf"(?=(?:2[0-3]|[01]?[0-9])(?::[0-5][0-9]|{_HALF})|(?:noon|midnight)\b)"
)
_CLOCK_THEN_HOUR = re.compile(rf"(?<=[0-9]:[0-5][0-9]){_DASH}(?=[0-9])|(?<=[AaPp][Mm]){_DASH}(?=[0-9])")
_CLOCK = re.compile(
    rf"(?<![\w.:])(?P<hour>2[0-3]|[01]?[0-9]):(?P<minute>[0-5][0-9])(?::[0-5][0-9])?(?![\w:])(?P<half>{_HALF})?"
)
_HOUR = re.compile(rf"(?<![\w.:,$£€-])(?P<hour>1[0-2]|0?[1-9])(?P<half>{_HALF})")

_DAY_RANGE = re.compile(rf"\b(?P<start>{_DAY})\b\.?{_DASH}(?P<end>{_DAY})\b\.?")
_DAY_SHORT = re.compile(
    r"\b(?P<day>(?:Mon|Tues?|Thu|Thurs?|Fri)\b\.?)"
    r"|\b(?P<doubtful>(?:Wed|Sat|Sun)\b\.?)(?=[,:;)/&]| and | [0-9])"
)
_DAY_AFTER = re.compile(
    r"(?:(?<=day and )|(?<=day or )|(?<=day, )|(?<=\b[Oo]n ))(?P<day>(?:Wed|Sat|Sun)\b\.?)"
)
_MONTH_RANGE = re.compile(rf"\b(?P<start>{_MONTH})\b\.?{_DASH}(?P<end>{_MONTH})\b\.?")


def _say(month: str, day: str, calendar_year: str | None) -> str:
    words = f"{_MONTHS.get(month.capitalize(), month)} {ordinal(day)}"
    return f"{words}, {year(calendar_year)}" if calendar_year else words


def _numeric(month: int, day: int, calendar_year: str) -> str | None:
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return None
    full = calendar_year if len(calendar_year) == 4 else f"20{calendar_year}"
    return _say(_MONTH_NAMES[month - 1], str(day), full)


def _iso_date(match: re.Match[str]) -> str | None:
    return _numeric(int(match["month"]), int(match["day"]), match["year"])


def _slash_date(match: re.Match[str]) -> str | None:
    """Month first, as in America, unless that cannot be."""
    first, second = int(match["first"]), int(match["second"])
    return _numeric(second, first, match["year"]) if first > 12 else _numeric(first, second, match["year"])


def _month_date(match: re.Match[str]) -> str:
    last = f" to {ordinal(match['last'])}" if match["last"] else ""
    words = _say(match["month"], match["day"], None) + last
    return f"{words}, {year(match['year'])}" if match["year"] else words


def _date_month(match: re.Match[str]) -> str:
    words = f"the {ordinal(match['day'])} of {_MONTHS[match['month']]}"
    return f"{words}, {year(match['year'])}" if match["year"] else words


def _calendar_year(match: re.Match[str]) -> str:
    last = f" to {year(match['last'])}" if match["last"] else ""
    return match["before"] + year(match["year"]) + last


def _half(written: str | None) -> str:
    """'p.m.' -> 'PM': the capitals make a voice spell it."""
    return f"{written.strip()[0].upper()}M" if written else ""


def _clock(match: re.Match[str]) -> str:
    return clock(int(match["hour"]), int(match["minute"]), _half(match["half"])) + _full_stop(match)


def _hour(match: re.Match[str]) -> str:
    return clock(int(match["hour"]), 0, _half(match["half"])) + _full_stop(match)


def _full_stop(match: re.Match[str]) -> str:
    """The point of 'a.m.' also ends the sentence when nothing, or a capital, follows."""
    if not (match["half"] or "").endswith("."):
        return ""
    rest = match.string[match.end() :].lstrip()
    goes_on = rest and not (rest[0].isupper() and rest.split()[0].strip(".,") not in _DAYS)
    return "" if goes_on else "."


def _day_range(match: re.Match[str]) -> str:
    return f"{_DAYS[match['start']]} to {_DAYS[match['end']]}"


def _day_short(match: re.Match[str]) -> str:
    groups = match.groupdict()
    short = groups["day"] or groups["doubtful"]
    ends = short.endswith(".") and match.end() == len(match.string)
    return _DAYS[short.rstrip(".")] + ("." if ends else "")


PASSES: tuple[tuple[re.Pattern[str], Replacement], ...] = (
    (_ISO_DATE, _iso_date),
    (_SLASH_DATE, _slash_date),
    (_MONTH_DATE, _month_date),
    (_DATE_MONTH, _date_month),
    (_MONTH_RANGE, lambda match: f"{_MONTHS[match['start']]} to {_MONTHS[match['end']]}"),
    (_MONTH_SHORT, lambda match: _MONTHS[match["month"]]),
    (_DECADE, lambda match: decade(match["decade"])),
    (_CALENDAR_YEAR, _calendar_year),
    (_DAY_RANGE, _day_range),
    (_DAY_SHORT, _day_short),
    (_DAY_AFTER, _day_short),
    (_CLOCK_RANGE, lambda match: f"{match['start']} to "),
    (_CLOCK_THEN_HOUR, " to "),
    (_CLOCK, _clock),
    (_HOUR, _hour),
)

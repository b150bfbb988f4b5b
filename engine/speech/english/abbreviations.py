"""Titles, streets, units and other short forms, and the signs between words."""

from __future__ import annotations

import re

from engine.speech.spoken import Replacement

_TITLES = {
    "Dr": "Doctor",
    "Mr": "Mister",
    "Mrs": "Missus",
    "Ms": "Miz",
    "Prof": "Professor",
    "Rev": "Reverend",
    "Capt": "Captain",
    "Sgt": "Sergeant",
    "Lt": "Lieutenant",
    "Gov": "Governor",
    "Sen": "Senator",
    "St": "Saint",
    "Mt": "Mount",
    "Ft": "Fort",
}
_STREETS = {
    "St": "Street",
    "Dr": "Drive",
    "Ave": "Avenue",
    "Rd": "Road",
    "Blvd": "Boulevard",
    "Ln": "Lane",
    "Hwy": "Highway",
    "Pkwy": "Parkway",
    "Pl": "Place",
    "Ct": "Court",
    "Sq": "Square",
}
_SHORT = {
    "e.g.": "for example",
    "i.e.": "that is",
    "etc.": "et cetera",
    "vs.": "versus",
    "vs": "versus",
    "approx.": "approximately",
    "Apt.": "Apartment",
    "Ste.": "Suite",
    "Dept.": "Department",
    "dept.": "department",
    "Ext.": "Extension",
    "ext.": "extension",
    "Inc.": "Incorporated",
    "Ltd.": "Limited",
    "Corp.": "Corporation",
    "Co.": "Company",
    "Jr.": "Junior",
    "Sr.": "Senior",
    "appt.": "appointment",
    "appts.": "appointments",
    "min.": "minimum",
    "max.": "maximum",
    "w/o": "without",
    "w/": "with",
    "Blvd.": "Boulevard",
    "Ave.": "Avenue",
}
# After a number: one, many.
_UNITS = {
    "min": ("minute", "minutes"),
    "mins": ("minute", "minutes"),
    "hr": ("hour", "hours"),
    "hrs": ("hour", "hours"),
    "sec": ("second", "seconds"),
    "secs": ("second", "seconds"),
    "lb": ("pound", "pounds"),
    "lbs": ("pound", "pounds"),
    "oz": ("ounce", "ounces"),
    "ft": ("foot", "feet"),
    "yd": ("yard", "yards"),
    "mi": ("mile", "miles"),
    "mph": ("mile per hour", "miles per hour"),
    "km/h": ("kilometer per hour", "kilometers per hour"),
    "sq ft": ("square foot", "square feet"),
    "km": ("kilometer", "kilometers"),
    "cm": ("centimeter", "centimeters"),
    "mm": ("millimeter", "millimeters"),
    "kg": ("kilogram", "kilograms"),
    "mg": ("milligram", "milligrams"),
    "ml": ("milliliter", "milliliters"),
    "yrs": ("year", "years"),
    "yr": ("year", "years"),
}


def _either(words: dict[str, str] | dict[str, tuple[str, str]]) -> str:
    return "|".join(sorted(map(re.escape, words), key=len, reverse=True))


_STREET = re.compile(
    rf"(?P<name>\b(?:[A-Z][\w'’]+|[0-9]+(?:st|nd|rd|th)) )(?P<kind>{_either(_STREETS)})\b(?P<dot>\.?)"
    rf"(?=\s*$|[,;)]|\.?\s+(?P<next>\S+))"
)
_HOUSE_NUMBER = re.compile(r"[0-9]+[A-Za-z]? (?:[NSEW]\.? |[A-Z][\w'’]+ )?$")
_TITLE = re.compile(rf"(?<![\w.])(?P<title>{_either(_TITLES)})(?:\.\s?|\s)(?=[A-Z])")
_SHORT_FORM = re.compile(rf"(?<![\w.])(?P<short>{_either(_SHORT)})(?!\w)")
_NUMBERED = re.compile(r"(?<!\w)(?:#\s?|[Nn]o\.\s?)(?=[0-9])")
_UNIT = re.compile(
    rf"(?P<one>(?<![\w.,])1)?(?<=[0-9])\s?(?P<unit>{_either(_UNITS)})\b(?!/)\.?(?P<end>(?=\s*$))?"
)
_PER_UNIT = re.compile(r"(?<=[a-z])/(?=(?:hour|day|week|month|year|person|night|minute|visit)\b)")
_BETWEEN_WORDS = re.compile(r"(?<=[^\W\d_])\s?/\s?(?=[^\W\d_])")
_SIGNS = {"&": "and", "@": "at", "+": "plus", "=": "equals", "#": "number", "×": "times", "÷": "divided by"}
_SIGN = re.compile(
    r"(?<=\S)\s?(?P<sign>[&@=÷])\s?(?=\S)|(?<=[0-9])\s?(?P<plus>\+)\s?(?=[0-9])|(?<=\w) (?P<spaced>\+) (?=\w)"
)
_OR_MORE = re.compile(r"(?<=[0-9])\+(?!\w)")


def _street(match: re.Match[str]) -> str | None:
    """'Main St.' is a street, and so is 'Main St'; 'Ask St. John' is none: there a name follows."""
    following = match["next"] or ""
    if match["kind"] in _TITLES and following[:1].isupper():
        before = match.string[max(0, match.start() - 40) : match.start()]
        if not _HOUSE_NUMBER.search(before) and not match["name"][0].isdigit():
            return None
    return match["name"] + _STREETS[match["kind"]] + ("" if following else match["dot"])


def _short(match: re.Match[str]) -> str:
    """Its point also ends the sentence when nothing follows."""
    ends = match["short"].endswith(".") and not match.string[match.end() :].strip()
    return _SHORT[match["short"]] + ("." if ends else "")


def _unit(match: re.Match[str]) -> str:
    one, many = _UNITS[match["unit"]]
    words = f"{match['one']} {one}" if match["one"] else f" {many}"
    ends = match.group().endswith(".") and not match.string[match.end() :].strip()
    return words + ("." if ends else "")


def _sign(match: re.Match[str]) -> str:
    return f" {_SIGNS[match['sign'] or match['plus'] or match['spaced']]} "


PASSES: tuple[tuple[re.Pattern[str], Replacement], ...] = (
    (_STREET, _street),
    (_TITLE, lambda match: f"{_TITLES[match['title']]} "),
    (_UNIT, _unit),
    (_SHORT_FORM, _short),
    (_NUMBERED, "number "),
    (_OR_MORE, " or more"),
    (_PER_UNIT, " per "),
    (_BETWEEN_WORDS, " "),
    (_SIGN, _sign),
)

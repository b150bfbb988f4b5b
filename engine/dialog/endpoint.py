"""When is a turn over? Pure functions of what is known in the pause.

The turn model hears intonation but says "complete" to most questions cut in half; the transcript shows an
unfinished sentence but not intonation. Together with the silence they decide: sounding complete in both ends
the turn early, sounding unfinished in either makes the agent patient.
"""

from __future__ import annotations

import re

from models import TurnTaking

_UNFINISHED = """
    a an the and or but so because if when while that which who to of for with at in on from about into
    my your our their his her its is are was were do does did can could would will should may might have has
    had i we they um uh er like very more than as not any some this these those what how where why
"""
_UNFINISHED_LAST_WORDS = frozenset(_UNFINISHED.split())
_DIGITS_AT_END = re.compile(r"(\d[\s\-.,]*){2,}$")
_SPELLED_AT_END = re.compile(r"(\b[A-Za-z]\b[\s\-.,]*){3,}$")
_ADDRESS_AT_END = re.compile(r"(@|\bat\b|\bdot\b)\s*\w*\W*$", re.IGNORECASE)


def unfinished(text: str) -> bool:
    """Whether the words themselves promise more: an open sentence, a number or a spelling in progress."""
    stripped = text.strip()
    if not stripped:
        return False
    if stripped.endswith(("...", "…", ",", "-")):
        return True
    bare = stripped.rstrip(".?!")
    if _DIGITS_AT_END.search(bare) or _SPELLED_AT_END.search(bare) or _ADDRESS_AT_END.search(bare):
        return True
    if stripped.endswith("?"):
        return False
    words = re.findall(r"[\w']+", bare.lower())
    return bool(words) and words[-1] in _UNFINISHED_LAST_WORDS


def wait_ms(settings: TurnTaking, text: str, probability: float | None) -> float:
    """Silence after which the turn is over, in ms, given its transcript and the turn model's probability.

    Without a probability (the model failed) the words decide alone, at half the patience.
    """
    if unfinished(text):
        return float(settings.patient_ms)
    if probability is None:
        return (settings.commit_ms + settings.patient_ms) / 2
    if probability >= settings.complete_above:
        return float(settings.commit_ms)
    missing = (settings.complete_above - probability) / settings.complete_above
    return settings.commit_ms + (settings.patient_ms - settings.commit_ms) * (0.4 + 0.6 * missing)

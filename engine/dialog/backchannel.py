"""Short sounds of a listener ("mm-hm", "yeah", "okay") that do not ask for the floor."""

from __future__ import annotations

import re

_SOUNDS = frozenset(
    [
        "mm",
        "mmm",
        "mhm",
        "mmhm",
        "mmhmm",
        "hm",
        "hmm",
        "hmmm",
        "uh",
        "huh",
        "uhhuh",
        "um",
        "ah",
        "aha",
        "oh",
        "ooh",
        "yeah",
        "yep",
        "yes",
        "yup",
        "ya",
        "okay",
        "ok",
        "right",
        "sure",
        "alright",
        "good",
        "great",
        "fine",
        "cool",
        "nice",
        "i",
        "see",
        "got",
        "it",
        "exactly",
        "true",
    ]
)
_PHRASES = frozenset({"i see", "got it", "all right", "uh huh", "mm hm", "mm hmm", "of course", "very good"})
MAX_WORDS = 3


def is_backchannel(text: str) -> bool:
    """Whether a transcript is nothing but listening sounds. Robust to case, punctuation and hyphens."""
    words = re.findall(r"[a-z']+", text.lower())
    if not words or len(words) > MAX_WORDS or "?" in text:
        return False
    phrase = " ".join(words)
    if phrase in _PHRASES:
        return True
    return all(word in _SOUNDS - {"i", "see", "got", "it"} for word in words)

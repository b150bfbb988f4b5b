"""Short sounds of a listener ("mm-hm", "yeah", "okay") that do not ask for the floor."""

from __future__ import annotations

import re

from engine.dialog.courtesies import classify
from engine.providers.base import Transcript

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
DOUBTFUL_LOGPROB = -0.65
"""A recogniser makes words of "mm-hm" and of coughs ("Ma'am", "I'm him"), and doubts them itself: of the
tuning recordings every such transcript was below -0.8, every short thing really said above -0.55."""


def is_listening(transcript: Transcript) -> bool:
    """Whether what was heard over the agent is a listener's sound or none at all, and no turn."""
    text = transcript.text
    if not text or is_backchannel(text):
        return True
    doubted = transcript.avg_logprob is not None and transcript.avg_logprob < DOUBTFUL_LOGPROB
    return doubted and len(text.split()) <= MAX_WORDS and classify(text) is None


def is_backchannel(text: str) -> bool:
    """Whether a transcript is nothing but listening sounds. Robust to case, punctuation and hyphens."""
    words = re.findall(r"[a-z']+", text.lower())
    if not words or len(words) > MAX_WORDS or "?" in text:
        return False
    phrase = " ".join(words)
    if phrase in _PHRASES:
        return True
    return all(word in _SOUNDS - {"i", "see", "got", "it"} for word in words)

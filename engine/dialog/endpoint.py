"""When is a turn over? Pure functions of what is known in the pause.

Four witnesses: the turn model hears intonation, but takes many questions that are cut in half for finished
ones; a small language model knows how likely these words are to be all, but hears nothing; the recogniser
doubts a word that was cut; a question of three words is seldom all. Rules know what none of them does, such
as that a number is still being told. Sounding complete in sum ends the turn early; sounding unfinished makes
the agent patient; in between it waits for a moment longer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

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
_ASKS = re.compile(
    r"^(?:(?:and|so|but|or|well|um|uh|okay|hi|hello|hey|please|then)\W+)*"
    r"(?:(?:\w+\W+)?(?:what|when|where|who|whom|whose|which|how|why)"
    r"|is|are|am|was|were|do|does|did|can|could|will|would|should|shall|may|might|must|have|has|tell)\b",
    re.IGNORECASE,
)
_SHORT_WORDS = 3
"""A shorter statement ("Cash.", "On Monday.") is an answer, not the way to a question."""

# A logistic regression on the tuning recordings and what is left of them when they are cut
# (docs/turn-taking.md, `python -m bench.end_of_turn`): log-odds of both models, the recogniser's doubt in
# nats a token, the logarithm of the number of words.
_BIAS, _INTONATION, _WORDS, _DOUBT, _LENGTH = -2.6, 0.4, 0.7, -6.0, 1.65
_USUAL_DOUBT, _MOST_DOUBT = 0.12, 0.3
"""Of a whole question, where the recogniser does not tell; what is more says nothing more, and other
recognisers than that of the recordings may doubt more."""
_USUAL_WORDS = 5
"""A statement's length says nothing: it counts like this."""
_SURE = 1e-3
"""No witness is believed to be surer than this."""
_HOPELESS = 0.02
"""Below this probability the utterance is taken to go on."""
_IDEOGRAPH = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_IDEOGRAPHS_A_WORD = 2


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the pause is judged by. Probabilities that the turn is over; None: that witness is missing.

    `avg_logprob`: of the transcript's tokens, in English. `courtesy`: the text is one, so complete as it is.
    """

    text: str
    intonation: float | None = None
    words: float | None = None
    avg_logprob: float | None = None
    courtesy: bool = False

    @property
    def probability(self) -> float | None:
        """Of all witnesses together; None where neither model spoke."""
        if self.intonation is None and self.words is None:
            return None
        odds = _INTONATION * _log_odds(self.intonation)
        if not self.courtesy:
            doubt = _USUAL_DOUBT if self.avg_logprob is None else min(_MOST_DOUBT, -self.avg_logprob)
            length = math.log(max(1.0, _length(self.text) if asks(self.text) else _USUAL_WORDS))
            odds += _BIAS + _WORDS * _log_odds(self.words) + _DOUBT * doubt + _LENGTH * length
        return 1 / (1 + math.exp(-odds))


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


def leads_up(text: str) -> bool:
    """Whether the last sentence tells instead of asks ("I have a toothache."): a question may well follow."""
    return not asks(text) and len(_last_sentence(text).split()) > _SHORT_WORDS


def asks(text: str) -> bool:
    """Whether the last sentence is a question, as far as it goes."""
    last = _last_sentence(text)
    return last.endswith("?") or _ASKS.search(last) is not None


def _last_sentence(text: str) -> str:
    return re.split(r"[.!?]\s+", text.strip())[-1]


def _length(text: str) -> float:
    """In words; of a script that does not part them about so many."""
    return len(text.split()) + len(_IDEOGRAPH.findall(text)) / _IDEOGRAPHS_A_WORD


def wait_ms(settings: TurnTaking, evidence: Evidence) -> float:
    """Silence after which the turn is over, in ms, counted from the last word."""
    if unfinished(evidence.text):
        return float(settings.patient_ms)
    probability = evidence.probability
    if probability is None:
        return float(settings.unsure_ms)
    if probability < _HOPELESS:
        return float(settings.patient_ms)
    leading = leads_up(evidence.text) and not evidence.courtesy
    if probability < settings.complete_above or leading:
        return float(settings.unsure_ms)
    return float(settings.commit_ms)


def _log_odds(probability: float | None) -> float:
    if probability is None:
        return 0.0
    bounded = min(max(probability, _SURE), 1 - _SURE)
    return math.log(bounded / (1 - bounded))

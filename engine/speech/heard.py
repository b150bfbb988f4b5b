"""How much of a piece of speech was played -> which of its written words were heard.

Voices give no word times, so time is shared out over the spoken characters by weight: letters alike,
punctuation for the pause that it makes, figures for the words that they are. The estimate is cut to whole
words and errs on the short side: what the history leaves out is said again, what it invents is never known.
"""

from __future__ import annotations

import re
import unicodedata

from engine.speech.spoken import Spoken

SAMPLE_RATE_HZ = 8_000
TRAILING_SILENCE_MS = 80
"""What a voice leaves at the end of a piece (`engine.providers.tts`)."""
CAUTION_MS = 80
"""A word counts when its estimated end lies that far back: one end in 20 was estimated earlier."""

# Fitted to the phoneme times of a Piper voice, 118 words: word ends within 88 ms (one standard deviation).
_LETTER = 1.0
_SPACE = 0.8
_DIGIT = 4.0
_IDEOGRAPH = 3.0
_COMMA_PAUSE = 4.0
_SENTENCE_PAUSE = 6.0
SLOW_PACE = 600.0
"""Samples for a weight of 1. The same voice took 500 on average for 8 phrases (standard deviation 83)."""
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)


def heard_text(spoken: Spoken, total_samples: int, heard_samples: int) -> str:
    """The beginning of `spoken.written` that was wholly heard, up to a word's end.

    `total_samples` is the piece's audio and `heard_samples` what the caller heard of it, both at 8,000 Hz.
    0 heard is '', all of it is the whole text; never shorter when more was heard.
    """
    return spoken.written[: heard_position(spoken, total_samples, heard_samples)]


def heard_position(spoken: Spoken, total_samples: int, heard_samples: int) -> int:
    """The same as a number of written characters, 0 to len(spoken.written)."""
    if heard_samples >= total_samples:
        return len(spoken.written)
    silence = min(_ms(TRAILING_SILENCE_MS), total_samples // 2)
    certain = heard_samples - _ms(CAUTION_MS)
    if certain <= 0:
        return 0
    chars = _characters(spoken.text, certain / (total_samples - silence))
    return _whole_words(spoken.written, spoken.written_position(chars))


def usual_samples(text: str) -> int:
    """How long `text` will be at most, at 8,000 Hz, while that is not known: a slow voice's time for it."""
    return round(sum(_weights(text)) * SLOW_PACE) + _ms(TRAILING_SILENCE_MS)


def pace(text: str, total_samples: int) -> float:
    """How fast a voice spoke `text`, for `unsaid`: samples for a weight of 1."""
    return max(1.0, total_samples - _ms(TRAILING_SILENCE_MS)) / (sum(_weights(text)) or 1.0)


def unsaid(text: str, samples: int, at_pace: float = SLOW_PACE) -> str:
    """What is left to say of `text` when its speech broke off after so many samples.

    It begins with a whole word, and rather with one that was said already than behind one that was not.
    """
    certain = max(0, samples - _ms(CAUTION_MS))
    position = _characters(text, certain / (at_pace * (sum(_weights(text)) or 1.0)))
    return text[_whole_words(text, position) :].lstrip()


def _ms(ms: int) -> int:
    return ms * SAMPLE_RATE_HZ // 1000


def _weights(text: str) -> list[float]:
    last = len(text.rstrip()) - 1
    return [_weight(char, final=index >= last) for index, char in enumerate(text)]


def _characters(text: str, share: float) -> int:
    """How many characters of `text` lie within the first `share` (0 to 1) of its weight."""
    weights = _weights(text)
    limit = min(share, 1.0) * sum(weights)
    passed = 0.0
    for index, weight in enumerate(weights):
        passed += weight
        if passed > limit:
            return index
    return len(text)


def _weight(char: str, *, final: bool) -> float:
    if char.isdecimal():
        return _DIGIT
    if char.isspace():
        return _SPACE
    if char.isalpha():
        return _IDEOGRAPH if unicodedata.category(char) == "Lo" and _UNSPACED.match(char) else _LETTER
    if final:
        # The pause after the last word is the silence that was taken off.
        return 0.0
    if char in ".!?…。！？":
        return _SENTENCE_PAUSE
    return _COMMA_PAUSE if char in ",;:—–，、；：" else 0.0


def _whole_words(written: str, position: int) -> int:
    """`position` moved back to the last end of a word; punctuation after a word belongs to it."""
    end = position
    while end < len(written) and not written[end].isspace() and not written[end].isalnum():
        end += 1
    if end < len(written) and not written[end].isspace() and not _between(written, end):
        end = position
        while end > 0 and not written[end - 1].isspace() and not _between(written, end):
            end -= 1
    return len(written[:end].rstrip())


def _between(written: str, position: int) -> bool:
    """Whether a word may end here without a space, as in Chinese."""
    return position > 0 and bool(_UNSPACED.match(written[position - 1]))

"""Does a decode look like the decoder ran in circles?

A Whisper decoder that loses its place repeats itself until it hits the token limit. The checks here are
deliberately quick to suspect: the price of a false alarm is one slower decode, never a changed transcript.
"""

from __future__ import annotations

import re
import zlib

MAX_COMPRESSION_RATIO = 2.4
"""Whisper's own threshold: text that deflates better than this is repetitive."""

MAX_WORDS_PER_S = 7.0
WORDS_ALLOWANCE = 4
"""Nobody sustains seven words a second; a very short utterance may still hold a few quick ones."""

LONGEST_PHRASE = 16
# Chinese characters and Japanese kana come without spaces: each counts as a word of its own.
_ALONE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}']+(?:'\w+)*")


def words(text: str) -> list[str]:
    """The words of `text`, lower case, without punctuation."""
    return _WORD.findall(text.lower())


def compression_ratio(text: str) -> float:
    """Bytes of `text` over bytes of its deflated form; 0 for empty text."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def _repeats_allowed(phrase_words: int) -> int:
    """How often a phrase may be said in a row before it is suspicious ("five five five five" is a number)."""
    if phrase_words == 1:
        return 4
    return 2 if phrase_words <= 3 else 1


def _run(spoken: list[str], start: int, length: int) -> int:
    """How often the phrase spoken[start:start+length] stands in a row from `start`."""
    phrase = spoken[start : start + length]
    count = 1
    while spoken[start + count * length : start + (count + 1) * length] == phrase:
        count += 1
    return count


def looping_phrase(text: str) -> str | None:
    """The first phrase that is said more often in a row than people do, or None."""
    spoken = words(text)
    for length in range(1, min(LONGEST_PHRASE, len(spoken) // 2) + 1):
        for start in range(len(spoken) - 2 * length + 1):
            if _run(spoken, start, length) > _repeats_allowed(length):
                return " ".join(spoken[start : start + length])
    return None


def suspicion(text: str, speech_s: float) -> str | None:
    """Why `text` cannot be trusted as a decode of `speech_s` seconds of audio, or None."""
    ratio = compression_ratio(text)
    if ratio > MAX_COMPRESSION_RATIO:
        return f"compression ratio {ratio:.1f}"
    if (phrase := looping_phrase(text)) is not None:
        return f"a phrase of {len(phrase.split())} words in a loop"
    count = len(words(text))
    if count > WORDS_ALLOWANCE + MAX_WORDS_PER_S * speech_s:
        return f"{count} words in {speech_s:.1f} s"
    return None


def collapse_loops(text: str) -> str:
    """`text` with each looping run of words cut to its first round; other text is left as it is."""
    tokens = text.split()
    bare = [" ".join(words(token)) for token in tokens]
    kept: list[str] = []
    at = 0
    while at < len(tokens):
        for length in range(1, min(LONGEST_PHRASE, (len(tokens) - at) // 2) + 1):
            count = _run(bare, at, length)
            if count > _repeats_allowed(length):
                kept += tokens[at : at + length]
                at += count * length
                break
        else:
            kept.append(tokens[at])
            at += 1
    return " ".join(kept)

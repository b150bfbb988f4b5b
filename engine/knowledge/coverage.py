"""How much of what a question asks about each passage mentions.

Embeddings place "How much is a root canal?" next to "Teeth whitening costs 250 dollars.": the same kind of
sentence about the same kind of thing. What tells the two apart is a plain fact about words: nothing in the
passage is a canal. Coverage is that fact as a number, kind to inflection, to common synonyms and to words
that speech recognition wrote as they sound ("opening ours").

Pure, and for English: in another language its numbers mean nothing.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from engine.knowledge import lexicon

SYNONYM = 0.9
SOUNDS_ALIKE = 0.8
"""Worth of a word found only by a synonym, or only by its sound."""
UNKNOWN = 0.6
"""What a word that no passage mentions leaves of the whole; two such words count, more do not."""

_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*|[$€£]")
_CONTRACTION = re.compile(r"'(?:s|re|ll|ve|d|m)\b")
_INTRODUCTION = re.compile(r"\b(?:my name is|my name's|this is|i am called) \w+", re.IGNORECASE)
_PREAMBLE = re.compile(
    r"^.*\b(?:ask|asking|know|wonder|wondering|tell me|find out)(?: you)? "
    r"(?=(?:if|whether|how|what|when|where|who|which|is|are|do|does|can)\b)",
    re.IGNORECASE | re.DOTALL,
)
_SUFFIXES = (
    *("ations", "ation", "ments", "ment", "ances", "ance", "als", "al", "ings", "ing"),
    *("ies", "ied", "ers", "er", "ed", "es", "s", "y", "e"),
)
_LETTERS = str.maketrans("cqdz", "kkts")


def coverage(question: str, passages: Sequence[str]) -> list[float] | None:
    """For each passage the share (0 to 1) of the question's content words that it mentions.

    None when that tells nothing, as the question has no content words ("Could you say that again?").
    """
    asked, said = _asked(question), [_said(passage) for passage in passages]
    if not asked:
        asked = [topic for topic in _topics(question) if any(_worth(topic, each) for each in said)]
    if not asked:
        return None
    worths = [[_worth(word, each) for word in asked] for each in said]
    unknown = sum(not any(column) for column in zip(*worths, strict=True))
    return [UNKNOWN ** min(2, unknown) * sum(row) / len(asked) for row in worths]


def stands_alone(question: str) -> bool:
    """Whether the question names what it is about; "How much is it?" leans on the one before."""
    measures = frozenset().union(*(_groups(word) for word in lexicon.MEASURES))
    return any(not word.groups & measures for word in _asked(question))


@dataclass(frozen=True, slots=True)
class _Said:
    stems: frozenset[str]
    groups: frozenset[int]
    sounds: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Asked:
    stem: str
    groups: frozenset[int]
    sounds: frozenset[str]


def _worth(word: _Asked, said: _Said) -> float:
    if word.stem in said.stems:
        return 1.0
    if word.groups & said.groups:
        return SYNONYM
    return SOUNDS_ALIKE if word.sounds & said.sounds else 0.0


def _words(text: str) -> list[str]:
    text = unicodedata.normalize("NFKD", text.lower().replace("’", "'"))
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    return _WORD.findall(_CONTRACTION.sub("", text).replace("n't", " not"))


@lru_cache(maxsize=8192)
def _said(passage: str) -> _Said:
    words = _words(passage)
    parts = [part for word in words for part in word.split("-")]
    pairs = [first + second for first, second in pairwise(parts)]
    return _Said(
        frozenset(stem(word) for word in (*words, *parts, *pairs)),
        frozenset().union(*(_groups(word) for word in (*words, *parts))),
        frozenset(sound for word in (*words, *parts) if (sound := sound_of(word))),
    )


def _asked(question: str) -> list[_Asked]:
    words = _words(_PREAMBLE.sub("", _INTRODUCTION.sub("", question)))
    asked: list[_Asked] = []
    for number, word in enumerate(words):
        here = word in _HERE and number > 0 and words[number - 1] in _POINTERS
        if here or word in _EMPTY or word.isdigit():
            continue
        # Recognition may break a word in two ("come post"): each half is also tried with its neighbour.
        joined = ["".join(words[i : i + 2]) for i in (number - 1, number) if 0 <= i < len(words) - 1]
        sounds = frozenset(filter(None, map(sound_of, (word, *joined))))
        asked.append(_Asked(stem(word), _groups(word), sounds))
    return asked


def _topics(question: str) -> list[_Asked]:
    topics = [topic for word in _words(question) if (topic := lexicon.QUESTION_WORDS.get(word))]
    return [_Asked(stem(topic), _groups(topic), frozenset()) for topic in topics]


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """The word without its endings, so that inflections meet: parking and park, cancellation and cancel."""
    word = word.replace("-", "")
    for _ in range(2):
        for suffix in _SUFFIXES:
            if word.endswith(suffix) and len(word) - len(suffix) >= (4 if suffix == "y" else 3):
                word = word[: -len(suffix)]
                break
        else:
            break
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


@lru_cache(maxsize=8192)
def sound_of(word: str) -> str:
    """The word's consonants as they sound, or '' when there are too few to tell words apart."""
    word = re.sub(r"^(?:h(?=our|onest)|k(?=n)|w(?=r))", "", word.replace("-", ""))
    word = (
        word.replace("wh", "w").replace("ph", "f").replace("tch", "ch").replace("ck", "k").replace("x", "ks")
    )
    word = re.sub(r"c(?=[eiy])", "s", word).replace("ch", "C").replace("sh", "S").replace("th", "T")
    word = word.translate(_LETTERS).replace("nts", "ns")
    consonants = re.sub(r"(.)\1+", r"\1", re.sub(r"[aeiouyh]", "", word))
    key = ("a" if word[:1] in tuple("aeiou") else "") + consonants
    if len(key) > 3:
        return key
    vowels = re.search(r"[aeiouy]+", word)
    return f"{key}/{vowels[0]}" if len(key) == 3 and vowels else ""


def _groups(word: str) -> frozenset[int]:
    return _GROUPS.get(stem(word), frozenset())


def _group_table() -> dict[str, frozenset[int]]:
    table: dict[str, frozenset[int]] = {}
    for number, words in enumerate(lexicon.groups()):
        for word in words:
            table[stem(word)] = table.get(stem(word), frozenset()) | {number}
    return table


_GROUPS = _group_table()
_EMPTY = lexicon.empty_words()
_HERE = lexicon.names_for_here()
_POINTERS = frozenset({"your", "the", "this", "that", "our"})

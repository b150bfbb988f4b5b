"""Streaming reply text -> pieces to synthesise: a first clause as early as it is safe, then sentences.

Text is read a character at a time and a decision is taken only when a word is complete, so the pieces
depend on the text alone and never on how it was split into deltas. The pieces, joined, are the text.

Where a cut may fall:
- after a sentence: `.` `!` `?` and their full-width forms, or a line break; not after an abbreviation, an
  initial or a list number;
- after a clause (comma, semicolon, colon, dash, ellipsis) or before a conjunction, while little has been
  said yet or when the sentence is long, and only once two more words of the same clause have come, so that
  what follows is no fragment;
- never inside a word as written, which keeps 1,000, 3.5, 8:30, URLs and e-mail addresses whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SENTENCE_END = re.compile(r"[.!?]$")
_CLAUSE_END = re.compile(r"(?:[,;:]|\.{3}|…|[–—]|^-{1,3})$")
_CLOSERS = "\"'”’»)]}*_~`"
_OPENERS = "\"'“‘«([{*_~`¿¡"
_FULL_WIDTH_END = "。！？｡"
_FULL_WIDTH_CLAUSE = "，、；：､"
_IDEOGRAPH = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")
_INITIAL = re.compile(r"(?:[^\W\d_]\.)+$")
_LIST_NUMBER = re.compile(r"\d{1,3}[.)]$")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


# A full stop after one of these ends no sentence.
_NEVER_END = _set(
    "dr mr mrs ms mx prof gen gov sen rep rev hon capt lt sgt col nr vs approx dept ext fig vol pp ca cf "
    "tel e.g i.e eg ie al mt ft"
)
# After one of these, as after an initial, it may; the next word tells.
_MAY_END = _set(
    "a.m p.m am pm etc inc ltd co corp llc jr sr st ave rd blvd ln hwy apt ste ph.d no min sec hr hrs lb lbs "
    "oz jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun"
)
# A capital after "8 a.m." begins a sentence, unless it goes on with the time.
_TIME_GOES_ON = _set(
    "monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun eastern central "
    "mountain pacific est edt cst cdt mst mdt pst pdt gmt utc bst cet"
)
_SENTENCE_STARTERS = _set(
    "the a an we our you your it its please i i'm i'll this that these those they there he she his her if is "
    "are do does did would could can will should how what when where which who why and but or so for to in "
    "on at yes no thanks thank just also would let's we're you'll you're it's that's there's"
)
_CONJUNCTIONS = _set("but because so although though while whereas unless until since which where if when")
_JOINERS = _set("and or")
_PREPOSITIONS = _set("from by with between behind opposite through during until after before without")
_SUBJECTS = _set(
    "i you we they he she it there this that these those i'm i'll i've you'll you're can we're we'll "
    "we've they're it's that's there's please if then"
)

_LOOKAHEAD = 2
_MAX_CHARS = 400
_CONJUNCTION_EXTRA = 2
_IDEOGRAPHS_A_WORD = 2


@dataclass(frozen=True, slots=True)
class _Word:
    start: int
    end: int
    text: str
    """As written, without the white space after it."""


class ClauseCutter:
    """Cuts one reply. Not reusable: make one for each reply.

    `first_words`: a clause of that many words may go out early, or of one word less where a comma or the like
    ends it; until so many words have been said.
    `long_words`: a sentence that long is cut at its next clause; at twice that at its last clause or, having
    none, between any two words.
    `language`: conjunctions are looked at for "en" only; punctuation for all.
    """

    def __init__(self, *, first_words: int = 4, long_words: int = 18, language: str = "en") -> None:
        self._first_words = first_words
        self._long_words = long_words
        self._english = language.lower().startswith("en")
        self._buffer = ""
        self._word_start: int | None = None
        self._words: list[_Word] = []
        self._said = 0
        self._ideographs = 0
        self._candidate: int | None = None
        self._candidate_words = 0
        self._fallback: int | None = None
        self._doubtful = False

    def push(self, delta: str) -> list[str]:
        """The pieces that `delta` completes, in order; mostly none."""
        pieces: list[str] = []
        for char in delta:
            self._step(char, pieces)
        return pieces

    def end(self) -> list[str]:
        """What is left, as one piece, when the reply is complete. Nothing may be pushed afterwards."""
        rest, self._buffer = self._buffer, ""
        return [rest] if rest else []

    def _step(self, char: str, pieces: list[str]) -> None:
        before = self._buffer[-1:]
        self._buffer += char
        if char.isspace():
            if self._word_start is not None:
                self._complete_word(len(self._buffer) - 1, pieces)
            if char in "\n\r\u2028\u2029" and self._words:
                self._cut(len(self._buffer), pieces)
            return
        if self._word_start is None:
            self._word_start = len(self._buffer) - 1
        if char == "—" and before.isalpha():
            self._complete_word(len(self._buffer), pieces)
        elif char in _FULL_WIDTH_END:
            self._word_start = None
            self._cut(len(self._buffer), pieces)
        elif char in _FULL_WIDTH_CLAUSE:
            wanted = self._first_words if self._said < self._first_words else self._long_words
            if self._ideographs >= wanted * _IDEOGRAPHS_A_WORD:
                self._word_start = None
                self._cut(len(self._buffer), pieces)
        elif _IDEOGRAPH.match(char):
            self._ideographs += 1
        if len(self._buffer) >= _MAX_CHARS:
            self._word_start = None
            self._cut(len(self._buffer), pieces)

    def _complete_word(self, end: int, pieces: list[str]) -> None:
        """Takes the word that ends at `end` and cuts where that has become decidable."""
        start, self._word_start = self._word_start or 0, None
        word = _Word(start, end, self._buffer[start:end])
        if self._doubtful:
            self._doubtful = False
            if self._words and _begins_sentence(word.text, after=self._words[-1].text):
                word = _Word(0, end - start, word.text)
                self._cut(start, pieces)
        counted = any(char.isalnum() for char in word.text)
        first = not self._words
        if counted:
            self._words.append(word)
        if self._ends_sentence(word.text, first=first):
            if self._words:
                self._cut(len(self._buffer), pieces)
            return
        self._consider(word, counted, pieces)

    def _ends_sentence(self, word: str, *, first: bool) -> bool:
        bare = word.rstrip(_CLOSERS)
        if not _SENTENCE_END.search(bare) or bare.endswith(("...", "…")):
            return False
        if not bare.endswith("."):
            return True
        if first and _LIST_NUMBER.match(bare.lstrip(_OPENERS)):
            return False
        key = bare.lstrip(_OPENERS)[:-1].lower()
        if key in _NEVER_END:
            return False
        self._doubtful = key in _MAY_END or bool(_INITIAL.fullmatch(bare.lstrip(_OPENERS)))
        return not self._doubtful

    def _consider(self, word: _Word, counted: bool, pieces: list[str]) -> None:
        """Looks for a cut inside a sentence: confirms the candidate, or finds a new one."""
        count = len(self._words)
        if self._candidate is not None and count == self._candidate_words + 1 and word.text[:1].isdigit():
            self._candidate = None
        early = self._said < self._first_words - 1
        wanted = self._first_words if early else self._long_words
        clause_end = bool(_CLAUSE_END.search(word.text.rstrip(_CLOSERS)))
        if clause_end:
            here = len(self._buffer) if self._balanced() else None
            enough = wanted - 1 if early else wanted  # a pause is natural here, even a longer one
            self._candidate, self._candidate_words = (here if count >= enough else None), count
            self._fallback = here if count >= self._first_words else None
        elif self._candidate is not None and count - self._candidate_words >= _LOOKAHEAD:
            self._cut(self._candidate, pieces)
        elif counted and self._candidate is None and count - 2 >= wanted + _CONJUNCTION_EXTRA:
            self._consider_conjunction()
        if early and counted and self._candidate is None and count - 2 >= wanted:
            self._consider_preposition()
        if len(self._words) >= 2 * self._long_words:
            self._cut(self._fallback or len(self._buffer), pieces)

    def _consider_conjunction(self) -> None:
        """A conjunction is only known to join clauses by its next word: `this` and the one before it."""
        joiner, subject = self._words[-2], self._words[-1]
        known = joiner.text.lower() in _CONJUNCTIONS
        joined = joiner.text.lower() in _JOINERS and subject.text.lower() in _SUBJECTS
        if self._english and (known or joined) and self._balanced():
            self._candidate, self._candidate_words = joiner.start, len(self._words) - 2

    def _consider_preposition(self) -> None:
        """What is said first may also stop before "from 9 in the morning": so it is heard sooner."""
        joiner = self._words[-2]
        if self._english and joiner.text.lower() in _PREPOSITIONS and self._balanced():
            self._candidate, self._candidate_words = joiner.start, len(self._words) - 2

    def _balanced(self) -> bool:
        """False inside a markdown link or a bracket, whose halves would be unreadable alone."""
        return self._buffer.count("[") <= self._buffer.count("]") and (
            self._buffer.count("(") <= self._buffer.count(")")
        )

    def _cut(self, position: int, pieces: list[str]) -> None:
        """Releases the buffer up to `position`; the words after it stay."""
        pieces.append(self._buffer[:position])
        self._buffer = self._buffer[position:]
        self._said += (
            sum(word.start < position for word in self._words) + self._ideographs // _IDEOGRAPHS_A_WORD
        )
        self._words = [
            _Word(word.start - position, word.end - position, word.text)
            for word in self._words
            if word.start >= position
        ]
        self._ideographs = 0
        self._candidate = self._fallback = None
        self._doubtful = self._doubtful and bool(self._words)
        if self._word_start is not None:
            self._word_start -= position


def _begins_sentence(word: str, *, after: str) -> bool:
    """Whether `word` begins a new sentence although the word before it is an abbreviation."""
    bare = word.lstrip(_OPENERS)
    if not bare[:1].isupper():
        return False
    key = re.sub(r"[^\w']+$", "", bare).lower()
    abbreviation = after.strip(_CLOSERS + _OPENERS).rstrip(".").lower()
    if abbreviation in ("a.m", "p.m", "am", "pm", "etc", "no"):
        return key not in _TIME_GOES_ON
    return key in _SENTENCE_STARTERS

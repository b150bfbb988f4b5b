"""A document's text -> passages small enough to be looked up and spoken in one turn.

A caller asks one thing and hears one sentence, so a passage is a sentence, or two or three where they
cannot be understood apart ("It costs 60 dollars."). Few words also mean a fast answer: the model reads the
passages anew in every turn. Each chunk keeps the heading it stood under, for the search and for fragments.

Pure: text in, chunks out, and the same text gives the same ids.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from engine.errors import DocumentError

MAX_WORDS = 60
MAX_SENTENCES = 3
MAX_HEADING_WORDS = 10
MAX_HEADING_CHARS = 200
"""Every passage carries its heading, so a page-long line is none, whatever its marks say."""
OVERLAP_WORDS = 8
"""Repeated where a run of words is cut at no mark, so that what stands at the cut is found whole."""
MAX_WORD_CHARS = 200
RECORD = "\x1e"
"""Begins a line that is one passage, such as a table's row, however many sentences are in it."""

_NAMESPACE = uuid.UUID("6f1d3c1e-6f0e-5a53-9d0c-6c0b7a4f1a55")
_LIST_ITEM = re.compile(r"^\s*(?:[-*+•·–]|\d{1,3}[.)])\s+(?P<text>\S.*)$")
_MARKDOWN_HEADING = re.compile(r"^\s{0,3}(?P<marks>#{1,6})\s+(?P<text>.*)$")
_UNDERLINE = re.compile(r"^\s{0,3}(?:={3,}|-{3,})\s*$")
_MARKUP = re.compile(r"\*\*|__|`|(?<!\w)[*_](?=\w)|(?<=\w)[*_](?!\w)|!?\[(?P<label>[^\[\]]*)\]\([^)\[]*\)")
_SENTENCE_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+(?=[\"'“‘(\[]*[A-Z0-9À-Þ])")
_ABBREVIATION = re.compile(
    r"(?:\b(?:Dr|Mr|Mrs|Ms|Prof|St|Ave|Rd|Blvd|No|Nr|[Tt]el|[Ee]xt|Inc|Ltd|Co|vs|etc|approx|Jan|Feb|Mar|Apr|Jun|Jul"
    r"|Aug|Sept?|Oct|Nov|Dec|Mon|Tues?|Wed|Thurs?|Fri|Sat|Sun)|\b[A-Za-z]|\be\.g|\bi\.e)\.$"
)
_CLOCK = re.compile(r"\b[ap]\.m\.$", re.IGNORECASE)
_DAY = re.compile(r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)")
_LEANS_BACK = re.compile(
    r"^(?:it|its|they|them|their|this|that|these|those|he|she|his|her|otherwise|however|but|also|then|there"
    r"|and|or|so|both|if so|if not|in that case)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Document:
    """Readable text of one upload. `pages`: (page number or None, text); a text file has one, unnumbered."""

    company_id: str
    document_id: str
    source: str
    pages: tuple[tuple[int | None, str], ...]

    @classmethod
    def from_text(cls, company_id: str, document_id: str, source: str, text: str) -> Document:
        """A plain-text or Markdown document. Raises DocumentError when it holds nothing to read."""
        if not text.strip():
            raise DocumentError(f"'{source}' holds no text: upload a document with something to read")
        return cls(company_id, document_id, source, ((None, text),))


@dataclass(frozen=True, slots=True)
class Chunk:
    """One passage of a document. `id` is a UUID, the same for the same company, document and index."""

    id: str
    index: int
    text: str
    heading: str
    source: str
    page: int | None

    @property
    def context(self) -> str:
        """What is embedded: the passage under its heading."""
        return f"{self.heading}: {self.text}" if self.heading else self.text


def chunk(document: Document) -> list[Chunk]:
    """The document's passages in reading order, of one to three sentences and at most 60 words each."""
    chunks: list[Chunk] = []
    for page, text in document.pages:
        for heading, passage in _passages(text):
            index = len(chunks)
            chunks.append(Chunk(_chunk_id(document, index), index, passage, heading, document.source, page))
    return chunks


def _chunk_id(document: Document, index: int) -> str:
    # The separator cannot be part of an id, so that ("a", "bc") and ("ab", "c") stay two.
    name = "\x1f".join((document.company_id, document.document_id, str(index)))
    return str(uuid.uuid5(_NAMESPACE, name))


def _passages(text: str) -> Iterator[tuple[str, str]]:
    """(heading, passage) pairs in reading order; a heading with nothing under it is a passage itself."""
    trail: dict[int, str] = {}
    bare: _Heading | None = None
    for block in _blocks(text):
        if isinstance(block, _Heading):
            # Under a deeper heading it is still there as context, unless it is the title.
            if bare and (block.level <= bare.level or bare.level == 1):
                yield "", bare.text
            trail = {level: name for level, name in trail.items() if level < block.level}
            trail[block.level] = block.text
            bare = block
            continue
        bare = None
        heading = _heading(trail)
        for passage in _block_passages(block):
            yield heading, passage if _is_sentence(passage) or not heading else f"{heading}: {passage}"
    if bare:
        yield "", bare.text


def _heading(trail: dict[int, str]) -> str:
    # A title stands over everything, so it tells no passage from another: only a lone one is kept.
    names = [name for level, name in sorted(trail.items()) if level > 1] or list(trail.values())
    return ", ".join(names)


def _block_passages(block: str) -> Iterator[str]:
    if not block.startswith(RECORD):
        yield from _merge(_sentences(block))
    elif len(block.split()) <= MAX_WORDS:
        yield from _within_limit(block)
    else:
        yield from _packed(_sentences(block))


@dataclass(frozen=True, slots=True)
class _Heading:
    text: str
    level: int


def _blocks(text: str) -> Iterator[_Heading | str]:
    """Headings, list items and paragraphs. A paragraph's lines are joined unless each says its own thing."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    lines = [line if line.strip() else "" for line in lines]
    paragraph: list[str] = []

    def flush() -> Iterator[str]:
        if paragraph:
            yield " ".join(paragraph)
            paragraph.clear()

    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        starts_block = number == 0 or not lines[number - 1]
        if not line or _UNDERLINE.match(line):
            yield from flush()
        elif line.startswith(RECORD):
            yield from flush()
            yield RECORD + _plain(line)
        elif heading := _as_heading(line, following, starts_block=starts_block):
            yield from flush()
            yield heading
        elif item := _LIST_ITEM.match(line):
            yield from flush()
            paragraph.append(_plain(item["text"]))
        else:
            if paragraph and _stands_alone(lines[number - 1], line):
                yield from flush()
            paragraph.append(_plain(line))
    yield from flush()


def _as_heading(line: str, following: str, *, starts_block: bool) -> _Heading | None:
    if marked := _MARKDOWN_HEADING.match(line):
        text = _plain(marked["text"].rstrip("# \t"))
        if len(text) > MAX_HEADING_CHARS:
            return None
        return _Heading(text, len(marked["marks"])) if text else None
    short = len(line) <= MAX_HEADING_CHARS and len(line.split()) <= MAX_HEADING_WORDS
    short = short and not _LIST_ITEM.match(line)
    if short and following and _UNDERLINE.match(following):
        return _Heading(_plain(line), 1 if following.strip().startswith("=") else 2)
    if not short or not starts_block:
        return None
    if line.endswith(":"):
        return _Heading(_plain(line[:-1]), 3)
    # An unmarked line is only guessed to be a heading: with a figure in it, it is more likely a fact.
    announces = not following or bool(_LIST_ITEM.match(following)) or _is_sentence(following)
    if announces and line[0].isupper() and line[-1].isalnum() and not any(c.isdigit() for c in line):
        return _Heading(_plain(line), 2)
    return None


def _stands_alone(line: str, following: str) -> bool:
    # Hard-wrapped prose fills its lines; an opening-hours table does not.
    return len(line) <= 60 and not line.endswith(",") and following.lstrip()[:1].isupper()


def _plain(text: str) -> str:
    return " ".join(_MARKUP.sub(lambda match: match["label"] or "", text).split())


def _sentences(paragraph: str) -> list[str]:
    sentences: list[str] = []
    start = 0
    for end in _SENTENCE_END.finditer(paragraph):
        # No abbreviation is longer; all of a long paragraph would be copied at each of its sentences.
        before = paragraph[max(start, end.start() - 16) : end.start()]
        if _CLOCK.search(before):
            if _DAY.match(paragraph, end.end()):
                continue
        elif _ABBREVIATION.search(before):
            continue
        sentences.append(paragraph[start : end.end()].strip())
        start = end.end()
    sentences.append(paragraph[start:].strip())
    return [part for sentence in sentences for part in _within_limit(sentence) if part]


def _within_limit(sentence: str) -> Iterator[str]:
    """The sentence in parts of at most MAX_WORDS: cut behind a comma, else with some words repeated."""
    words = [part for word in sentence.split() for part in _within_word(word)]
    start = 0
    while len(words) - start > MAX_WORDS:
        window = words[start : start + MAX_WORDS]
        breaks = [i + 1 for i, word in enumerate(window) if word.endswith((",", ";", ":"))]
        at_mark = bool(breaks) and breaks[-1] >= MAX_WORDS // 2
        cut = breaks[-1] if at_mark else MAX_WORDS
        yield " ".join(window[:cut])
        start += cut if at_mark else cut - OVERLAP_WORDS
    yield " ".join(words[start:])


def _within_word(word: str) -> Iterator[str]:
    return (word[start : start + MAX_WORD_CHARS] for start in range(0, len(word), MAX_WORD_CHARS))


def _packed(sentences: list[str]) -> Iterator[str]:
    """As many sentences together as a passage may have words."""
    group: list[str] = []
    words = 0
    for sentence in sentences:
        count = len(sentence.split())
        if group and words + count > MAX_WORDS:
            yield " ".join(group)
            group, words = [], 0
        group.append(sentence)
        words += count
    if group:
        yield " ".join(group)


def _merge(sentences: list[str]) -> Iterator[str]:
    """Joins a sentence that leans on the one before it, within the limits of a passage."""
    group: list[str] = []
    for sentence in sentences:
        words = sum(len(part.split()) for part in (*group, sentence))
        leans = bool(_LEANS_BACK.match(sentence)) or len(sentence.split()) < 3
        if group and not (leans and len(group) < MAX_SENTENCES and words <= MAX_WORDS):
            yield " ".join(group)
            group = []
        group.append(sentence)
    if group:
        yield " ".join(group)


def _is_sentence(text: str) -> bool:
    return text.endswith((".", "!", "?", "…", ".”", '."')) and len(text.split()) >= 3

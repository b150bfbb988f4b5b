"""Text as a language model writes it -> text to be spoken.

Markdown and emoji go, whatever the language. English figures, dates, addresses and abbreviations become
words (`engine.speech.english`); in other languages they are left to the voice.
"""

from __future__ import annotations

import re

from engine.speech.spoken import Draft, Replacement, Spoken

_MARKDOWN: tuple[tuple[re.Pattern[str], Replacement], ...] = (
    (re.compile(r"^[ \t]*(?:```|~~~)[^\n]*$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:[-*_][ \t]*){3,}$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*(?:\|[ \t]*)?:?-{3,}:?[ \t]*(?:\|[ \t:|-]*)?$", re.MULTILINE), ""),
    (re.compile(r"^[ \t]*\|(?P<row>[^\n]*?)\|[ \t]*$", re.MULTILINE), lambda match: match["row"]),
    (re.compile(r"[ \t]\|[ \t]"), ", "),
    (
        re.compile(r"!?\[(?P<label>[^\]\n]{0,300})\]\([^()\s]{0,500}(?:\s\"[^\"\n]*\")?\)"),
        lambda match: match["label"],
    ),
    (re.compile(r"<(?P<address>(?:https?://|[\w.+-]+@)[^\s<>]+)>"), lambda match: match["address"]),
    (re.compile(r"</?[A-Za-z][^<>\n]{0,200}>"), " "),
    (re.compile(r"^[ \t]*(?:#{1,6}|>+|[-*+•‣◦])[ \t]+", re.MULTILINE), ""),
    (re.compile(r"\*{2,}|_{2,}|~{2,}|`+"), ""),
    (re.compile(r"(?<![0-9])\*|\*(?![0-9])"), ""),
    (re.compile(r"(?<!\w)_(?=\w)|(?<=\w)_(?!\w)"), ""),
    (re.compile(r"\\(?=[\W_])"), ""),
)
_EMOJI = re.compile(
    "[\U0001f000-\U0001faff\u2600-\u27bf\u2b00-\u2bff\u2300-\u23ff\u2190-\u21ff\u25a0-\u25ff"
    "\ufe0e\ufe0f\u200d\u20e3\U000e0020-\U000e007f©®™]+"
)
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b\u200c\u2060\ufeff\u00ad]+")
_LINE_BREAK = re.compile(r"(?<=\w)[ \t]*(?:\r?\n[ \t]*)+(?=\S)")
_SPACES = re.compile(r"\s+")
_EDGES = re.compile(r"^ | $")


def normalise(written: str, language: str = "en") -> Spoken:
    """What to say for `written`; its text is empty when there is nothing to say.

    `language` is a BCP 47 tag ("en", "en-GB", "de"). Never raises: what no rule knows stays as it is.
    """
    draft = Draft(written)
    draft.sub(_INVISIBLE, "")
    for pattern, replacement in _MARKDOWN:
        draft.sub(pattern, replacement)
    draft.sub(_EMOJI, "")
    draft.sub(_LINE_BREAK, ". ")
    draft.sub(_SPACES, " ")
    if language.lower().partition("-")[0] == "en":
        # Imported for English alone: its patterns take 2 MB.
        from engine.speech import english

        english.rewrite(draft)
        draft.sub(_SPACES, " ")
    draft.sub(_EDGES, "")
    return draft.spoken()

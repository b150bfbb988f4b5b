"""English: written figures, signs and abbreviations -> words, as an American receptionist would read them.

The passes run in order, each on what those before it left: the more specific a form, the earlier its turn.
Whole numbers that stand for nothing special come last.
"""

from __future__ import annotations

from engine.speech.english import abbreviations, amounts, contacts, dates
from engine.speech.spoken import Draft

_PASSES = (
    *contacts.PASSES,
    *dates.PASSES,
    *amounts.MONEY,
    *abbreviations.PASSES,
    *amounts.NUMBERS,
)


def rewrite(draft: Draft) -> None:
    """Rewrites `draft` in place."""
    for pattern, replacement in _PASSES:
        draft.sub(pattern, replacement)

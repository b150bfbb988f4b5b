"""How much of an upload is read, and what comes out of it. Imports nothing, so that a child starts fast."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024

Pages = tuple[tuple[int | None, str], ...]
"""(page number or None, text), in reading order."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one document may cost. Beyond any of them it is refused, never cut off."""

    seconds: float = 60.0
    memory_bytes: int = 1024 * MIB
    """Address space of the process that reads; the interpreter and its libraries take 150 MiB of it."""
    file_bytes: int = 50 * MIB
    pages: int = 2_000
    unpacked_bytes: int = 200 * MIB
    """All that is compressed inside the file, unpacked."""
    text_bytes: int = 20_000_000
    """Text that comes out, in UTF-8."""


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """Text of one upload, never empty, and what kind of file it was."""

    pages: Pages
    media_type: str


OUT_OF_MEMORY = 3
"""Exit status of a reading process that reached its memory limit."""

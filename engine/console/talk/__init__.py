"""The talk page's files, by name; nothing else in this folder can be served."""

from __future__ import annotations

from pathlib import Path

PAGE = "index.html"
_SCRIPT = "text/javascript; charset=utf-8"
FILES = {
    PAGE: "text/html; charset=utf-8",
    "talk.css": "text/css; charset=utf-8",
    "talk.js": _SCRIPT,
    "account.js": _SCRIPT,
    "chooser.js": _SCRIPT,
    "carrier.js": _SCRIPT,
    "transcript.js": _SCRIPT,
    "dsp.js": _SCRIPT,
    "microphone-worklet.js": _SCRIPT,
    "player-worklet.js": _SCRIPT,
}


def read(name: str) -> bytes:
    """One file of `FILES`."""
    return (Path(__file__).parent / name).read_bytes()

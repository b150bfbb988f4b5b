"""What the simulators of speech-to-text vendors share: what they say they heard, and what they heard."""

from __future__ import annotations

from typing import Any

from tests.vendors.simulator import VendorSimulator


class SttSimulator(VendorSimulator):
    """Understands `text`, whatever the audio. `heard`: of each request that was right, what arrived:
    the model, the language, and the audio's rate (Hz) and duration (seconds)."""

    def __init__(self, text: str = "When do you open?") -> None:
        super().__init__()
        self.text = text
        self.heard: list[dict[str, Any]] = []

    def told(self, language: str) -> str | None:
        """What a request says for `language`, in this vendor's words; None where it says nothing."""
        return None if language == "auto" else language

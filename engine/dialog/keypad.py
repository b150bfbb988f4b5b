"""Keys that a caller presses, collected into a turn."""

from __future__ import annotations

QUIET_S = 2.5
"""After this long without a further key the digits are taken as they are."""
TERMINATOR = "#"
MAX_DIGITS = 64


class Keypad:
    """Digits so far. True when there are any."""

    def __init__(self) -> None:
        self._digits = ""

    def __bool__(self) -> bool:
        return bool(self._digits)

    def press(self, digit: str) -> bool:
        """Take a key; whether the input is complete: ended by `#`, or as long as it may be."""
        if digit != TERMINATOR:
            self._digits += digit
        return bool(self._digits) and (digit == TERMINATOR or len(self._digits) >= MAX_DIGITS)

    def take(self) -> str:
        """The digits as words of a transcript, one by one; then there are none."""
        digits, self._digits = self._digits, ""
        return " ".join(digits)

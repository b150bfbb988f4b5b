"""Named deadlines on the caller's clock. Setting a name again moves it."""

from __future__ import annotations


class Timers:
    """At most a handful at once, so a dict is the right queue."""

    def __init__(self) -> None:
        self._due: dict[str, float] = {}

    def set(self, name: str, at: float) -> None:
        self._due[name] = at

    def cancel(self, name: str) -> None:
        self._due.pop(name, None)

    def clear(self) -> None:
        self._due.clear()

    def next_at(self) -> float | None:
        return min(self._due.values(), default=None)

    def pop_due(self, now: float) -> list[str]:
        """Names whose time has come, earliest first; each is forgotten."""
        due = sorted((name for name, at in self._due.items() if at <= now), key=self._due.__getitem__)
        for name in due:
            del self._due[name]
        return due

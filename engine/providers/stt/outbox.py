"""Audio on its way to somebody who takes it as it comes."""

from __future__ import annotations

import asyncio


class Outbox:
    """Audio is put in without waiting, and taken in pieces of the size that the other side wants."""

    def __init__(self) -> None:
        self._audio = bytearray()
        self._ended = False
        self._news = asyncio.Event()

    def push(self, audio: bytes) -> None:
        self._audio += audio
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    def clear(self) -> None:
        self._audio.clear()

    async def take(self, smallest: int, largest: int) -> bytes:
        """A multiple of `smallest` bytes up to `largest`; what is left, after the end; then nothing."""
        while len(self._audio) < smallest and not self._ended:
            self._news.clear()
            await self._news.wait()
        size = min(len(self._audio), largest) // smallest * smallest or len(self._audio)
        piece = bytes(self._audio[:size])
        del self._audio[:size]
        return piece

"""A turn that is transcribed while the caller speaks, by a provider whose sessions listen live.

A vendor's session ends with the utterance that it was opened for, but a turn may go on after a pause. So each
stretch of speech between two pauses has a session of its own, and the turn's transcript is theirs, joined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from engine.errors import ProviderRejected
from engine.providers.base import SpeechToText, SttSession, Transcript


class LiveListener:
    """One turn of one caller. Owns a session while the caller speaks, and a task for each that was ended."""

    def __init__(self, ears: SpeechToText, language: str) -> None:
        self._ears = ears
        self._language = language
        self._session: SttSession | None = None
        self._opened: list[SttSession] = []
        self._stretches: list[asyncio.Task[Transcript]] = []

    @property
    def broken(self) -> bool:
        """Whether a stretch has failed.

        Nothing is heard from then on: whoever has the audio of the whole turn asks for its transcript.
        """
        ended = (stretch for stretch in self._stretches if stretch.done() and not stretch.cancelled())
        return any(stretch.exception() is not None for stretch in ended)

    def push(self, audio: bytes) -> None:
        """More of what the caller says, mu-law, without the silence of pauses."""
        if self.broken:
            return
        try:
            self._push(audio)
        except ProviderRejected:  # longer than a session may be, without any pause
            self._end_stretch()
            self._push(audio)

    async def transcript(self) -> Transcript:
        """Of all that was pushed so far: the caller has paused. Asked again, it adds what came since.

        Cancelled, it goes on by itself: the next question waits for the same answers. Closed meanwhile, it is
        empty. Raises the ProviderError of a stretch that failed.
        """
        self._end_stretch()
        stretches = tuple(self._stretches)
        if stretches:
            await asyncio.wait(stretches)
        if not self._stretches:
            return Transcript("", self._language)
        return joined([stretch.result() for stretch in stretches])

    async def close(self) -> None:
        """The turn is over: whatever still runs is cancelled, and has ended when this returns."""
        self._session, stretches, self._stretches = None, self._stretches, []
        for stretch in stretches:
            stretch.cancel()
        await asyncio.gather(*stretches, return_exceptions=True)
        while self._opened:  # a task that was cancelled before it began has closed nothing
            await self._opened[-1].close()
            self._opened.pop()

    def _push(self, audio: bytes) -> None:
        if self._session is None:
            self._session = self._ears.session(language=self._language)
            self._opened.append(self._session)
        self._session.push(audio)

    def _end_stretch(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            self._stretches.append(asyncio.create_task(_finish(session), name="finish a stretch"))


def joined(stretches: Sequence[Transcript]) -> Transcript:
    """One transcript of what was said in stretches, not empty. Words keep their times within the audio."""
    words, before_ms = list(stretches[0].words), stretches[0].audio_ms
    for stretch in stretches[1:]:
        for word in stretch.words:
            start_ms, end_ms = word.start_ms + before_ms, word.end_ms + before_ms
            words.append(replace(word, start_ms=start_ms, end_ms=end_ms))
        before_ms += stretch.audio_ms
    sure = [stretch.confidence for stretch in stretches if stretch.confidence is not None]
    return replace(
        stretches[-1],
        text=" ".join(text for stretch in stretches if (text := stretch.text.strip())),
        audio_ms=before_ms,
        confidence=min(sure, default=None),
        words=tuple(words),
        route=tuple(decision for stretch in stretches for decision in stretch.route),
    )


async def _finish(session: SttSession) -> Transcript:
    try:
        return await session.finish()
    finally:
        await session.close()

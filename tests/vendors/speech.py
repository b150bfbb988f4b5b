"""What the simulators of text-to-speech vendors share: a voice, a streamed answer, and what was said.

The voice is a tone between two silences, as long as its text; so a test can tell a wrong rate, a lost piece
or a forgotten trim by its length and pitch.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from starlette.responses import JSONResponse, Response, StreamingResponse

from tests.vendors.simulator import Fault, VendorSimulator

TONE_HZ = 440
MS_PER_CHAR = 60
LEAD_MS, TAIL_MS = 120, 180
"""Silence around the tone: more than a finished piece may have."""

_PIECES = 5


def tone_ms(text: str, speed: float = 1.0) -> int:
    """How long the tone of a text is."""
    return round(MS_PER_CHAR * len(text) / speed)


def spoken_pcm(text: str, rate_hz: int, speed: float = 1.0) -> NDArray[np.int16]:
    """A text as it is spoken here, shape (samples,)."""
    at = np.arange(rate_hz * tone_ms(text, speed) // 1000) / rate_hz
    tone = np.rint(8_000 * np.sin(2 * np.pi * TONE_HZ * at)).astype(np.int16)
    lead, tail = (np.zeros(rate_hz * ms // 1000, np.int16) for ms in (LEAD_MS, TAIL_MS))
    return np.concatenate([lead, tone, tail])


@dataclass(frozen=True, slots=True)
class Spoken:
    """A request that was right. `options`: what the vendor alone has, by its own names."""

    text: str
    voice: str
    format: str
    speed: float = 1.0
    language: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


class Wrong(Exception):
    """A request that the vendor refuses."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


class SpeechSimulator(VendorSimulator):
    """`rest`: cleared, an answer that streams stops after its first piece until it is set.

    `catalogue`: the JSON that the list of voices answers with, where the vendor has such a list.
    """

    voices: ClassVar[tuple[str, ...]]

    def __init__(self) -> None:
        super().__init__()
        self.spoken: list[Spoken] = []
        self.rest = asyncio.Event()
        self.rest.set()
        self.catalogue: Any = None

    def refuse(self, wrong: Wrong) -> Response:
        return self.error(wrong.status, wrong.message)

    def listed(self) -> Response:
        return JSONResponse(self.catalogue)

    def streamed(self, audio: bytes, media_type: str) -> Response:
        # A malformed answer ends as if it were whole, and then the connection: a client that is not told
        # would send its next request there.
        headers = {"connection": "close"} if self.fault is Fault.MALFORMED else {}
        return StreamingResponse(self._pieces(audio), headers=headers, media_type=media_type)

    async def _pieces(self, audio: bytes) -> AsyncIterator[bytes]:
        """Of an odd length, so that 16-bit samples are cut in two."""
        step = len(audio) // _PIECES | 1
        try:
            for start in range(0, len(audio), step):
                yield audio[start : start + step]
                await self.rest.wait()
        except asyncio.CancelledError:
            self.hung_up.set()
            raise


def require(body: Mapping[str, Any], *needed: str) -> None:
    for name in needed:
        if not body.get(name):
            raise Wrong(400, f"Missing required parameter: '{name}'.")


def only(body: Mapping[str, Any], *known: str) -> None:
    for name in body:
        if name not in known:
            raise Wrong(400, f"Unknown parameter: '{name}'.")


def within(body: Mapping[str, Any], name: str, low: float, high: float) -> None:
    """A number in a range, where it is there."""
    value = body.get(name, low)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise Wrong(400, f"Invalid '{name}': {value!r} is not {low} to {high}.")

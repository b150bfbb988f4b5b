"""What the simulators of speech-to-text vendors share: what they say they heard, and what they heard."""

from __future__ import annotations

import json
import threading
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

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


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word; times in seconds from the beginning of the audio."""

    text: str
    start_s: float
    end_s: float


class LiveSimulator(SttSimulator):
    """A vendor that listens over a WebSocket.

    `listening` is set when audio has arrived, `over` when a connection is.
    `early`: what is final as soon as the first audio has arrived; `text` follows it at the end.
    `said`: the text messages of all clients.
    """

    path: ClassVar[str]

    def __init__(self, text: str = "When do you open?") -> None:
        super().__init__(text)
        self.early = ""
        self.listening = threading.Event()
        self.over = threading.Event()
        self.said: list[str] = []

    def routes(self) -> Iterator[BaseRoute]:
        yield WebSocketRoute(self.path, self._serve)

    async def _serve(self, websocket: WebSocket) -> None:
        try:
            await self.converse(websocket)
        except WebSocketDisconnect:
            pass
        finally:
            self.over.set()

    @abstractmethod
    async def converse(self, websocket: WebSocket) -> None:
        """All of a connection. Raises WebSocketDisconnect when the client leaves."""

    @staticmethod
    async def message(websocket: WebSocket) -> bytes | str:
        received = await websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received["code"])
        audio: bytes | None = received.get("bytes")
        return audio if audio is not None else str(received["text"])


def parsed(text: str) -> Any:
    """A client's message; None when it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None


def spread(text: str, start_s: float, end_s: float) -> list[Spoken]:
    """The words of a text, evenly over a piece of audio."""
    words = text.split()
    step = (end_s - start_s) / max(1, len(words))
    return [
        Spoken(word, round(start_s + index * step, 3), round(start_s + (index + 1) * step, 3))
        for index, word in enumerate(words)
    ]

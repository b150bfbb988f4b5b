"""AssemblyAI's Universal-Streaming API, version 3.

Sources (read 2026-11-24), below assemblyai.com/docs: streaming/message-sequence, streaming/api-spec/
streaming-websocket, api-reference/streaming-api/universal-streaming, streaming/universal-streaming/
multilingual-transcription and streaming/common-session-errors-and-closures.

Documented request:  GET wss://streaming.assemblyai.com/v3/ws?sample_rate=16000&speech_model=
                     universal-streaming-english&format_turns=true, `Authorization: KEY`; then audio as binary
                     messages of 50 to 1,000 ms, {"type": "ForceEndpoint"} and {"type": "Terminate"}.
Documented response: {"type": "Begin", "id": "de5d9927-73a6-4be8-b52d-b4c07be37e6b",
                     "expires_at": 1759796682}; then {"type": "Turn", "turn_order": 0,
                     "turn_is_formatted": false, "end_of_turn": true, "transcript": "hi my name is sonny",
                     "end_of_turn_confidence": 0.5005, "words": [{"start": 1920, "end": 2000, "text": "hi",
                     "confidence": 0.874618, "word_is_final": true}, ...],
                     "utterance": "Hi my name is sonny"}, the same formatted, and {"type": "Termination",
                     "audio_duration_seconds": 6, ...}.

Refusals come after the handshake, as {"type": "Error", "error_code": 3007, "error": "..."} and a close with
that code. Stricter than the vendor, as far as it is known, in refusing parameters that are not documented;
what it says of wrong ones is not documented. It does not mind audio faster than real time, as the vendor may.
"""

from __future__ import annotations

from typing import Any, ClassVar

from starlette.datastructures import QueryParams
from starlette.websockets import WebSocket

from tests.vendors.transcription import LiveSimulator, Spoken, parsed, spread

_PARAMETERS = {"sample_rate", "encoding", "format_turns", "inactivity_timeout", "keyterms_prompt",
               "language_detection", "end_of_turn_confidence_threshold", "speech_model", "token",
               "min_end_of_turn_silence_when_confident", "max_turn_silence", "vad_threshold"}  # fmt: skip
_BYTES_A_SAMPLE = {"pcm_s16le": 2, "pcm_mulaw": 1}
_ENGLISH, _MULTILINGUAL = "universal-streaming-english", "universal-streaming-multilingual"


class AssemblyAi(LiveSimulator):
    """`too_fast`: refuse audio as having come faster than real time."""

    path: ClassVar[str] = "/v3/ws"

    def __init__(self, text: str = "When do you open?") -> None:
        super().__init__(text)
        self.too_fast = False

    def told(self, language: str) -> str | None:
        return None

    async def converse(self, websocket: WebSocket) -> None:
        await websocket.accept()
        query = websocket.query_params
        if websocket.headers.get("authorization") != self.key:
            await _refuse(websocket, 1008, "Unauthorized Connection: Missing Authorization header")
            return
        if wrong := _wrong(query):
            await _refuse(websocket, 3006, f"Invalid Message: {wrong}")
            return
        session = _Session(websocket, query)
        await websocket.send_json(
            {"type": "Begin", "id": "de5d9927-73a6-4be8-b52d-b4c07be37e6b", "expires_at": 1_795_000_000}
        )
        while True:
            match await self.message(websocket):
                case bytes(audio):
                    if not 50 <= (ms := session.ms(len(audio))) <= 1_000:
                        line = f"Input Duration Violation: {ms:.1f} ms. Expected between 50 and 1000 ms"
                        await _refuse(websocket, 3007, f"Input Duration Error: {line}")
                        return
                    if self.too_fast:
                        line = "Received 2.0 sec. audio in 0.1 sec"
                        await _refuse(websocket, 3007, f"Audio Transmission Rate Exceeded: {line}")
                        return
                    await session.hear(audio, self.early)
                    self.listening.set()
                case text:
                    self.said.append(text)
                    match parsed(text):
                        case {"type": "KeepAlive" | "UpdateConfiguration"}:
                            pass
                        case {"type": "ForceEndpoint"}:
                            await session.end_turn(self.text)
                        case {"type": "Terminate"}:
                            await session.end_turn(self.text)
                            self.heard.append(session.summary())
                            await websocket.send_json(session.termination())
                            await websocket.close(1000)
                            return
                        case dict():
                            await _refuse(websocket, 3006, f"Invalid Message Type: {text}")
                            return
                        case _:
                            await _refuse(websocket, 3006, f"Invalid JSON: {text}")
                            return


class _Session:
    """The audio of one connection, and what has been said of it."""

    def __init__(self, websocket: WebSocket, query: QueryParams) -> None:
        self._websocket = websocket
        self._query = query
        self._bytes = 0
        self._turns = 0
        self._ended_ms = 0.0
        """Up to where turns have ended."""

    def ms(self, size: int) -> float:
        return size * 1_000 / _BYTES_A_SAMPLE[self._encoding] / int(self._query["sample_rate"])

    @property
    def _encoding(self) -> str:
        return self._query.get("encoding", "pcm_s16le")

    async def hear(self, audio: bytes, early: str) -> None:
        first = not self._bytes
        self._bytes += len(audio)
        if first and early:
            await self.end_turn(early)

    async def end_turn(self, text: str) -> None:
        """Tell what was said since the last turn: in part, whole, and formatted where that is wanted."""
        began_ms, self._ended_ms = self._ended_ms, self.ms(self._bytes)
        spoken = spread(text, began_ms / 1_000, self._ended_ms / 1_000)
        if not spoken or began_ms == self._ended_ms:
            return
        formats = self._query["speech_model"] == _MULTILINGUAL
        plain = spoken if formats else [_plain(word) for word in spoken]
        await self._say(plain[:1], end=False, formatted=False)
        await self._say(plain, end=True, formatted=formats)
        if not formats and self._query.get("format_turns") == "true":
            await self._say(spoken, end=True, formatted=True)
        self._turns += 1

    async def _say(self, spoken: list[Spoken], *, end: bool, formatted: bool) -> None:
        message: dict[str, Any] = {
            "turn_order": self._turns,
            "turn_is_formatted": formatted,
            "end_of_turn": end,
            "transcript": " ".join(word.text for word in spoken) if end else "",
            "end_of_turn_confidence": 0.75 if end else 0.01,
            "words": [
                {
                    "start": round(word.start_s * 1_000),
                    "end": round(word.end_s * 1_000),
                    "text": word.text,
                    "confidence": 0.97,
                    "word_is_final": end,
                }
                for word in spoken
            ],
            "utterance": "",
            "type": "Turn",
        }
        if end and self._query.get("language_detection") == "true":
            message |= {"language_code": "en", "language_confidence": 0.99}
        await self._websocket.send_json(message)

    def termination(self) -> dict[str, Any]:
        seconds = round(self.ms(self._bytes) / 1_000)
        return {
            "type": "Termination",
            "audio_duration_seconds": seconds,
            "session_duration_seconds": seconds,
        }

    def summary(self) -> dict[str, Any]:
        return {
            "model": self._query["speech_model"],
            "language": None,
            "rate_hz": int(self._query["sample_rate"]),
            "seconds": self.ms(self._bytes) / 1_000,
            "encoding": self._encoding,
            "detects": self._query.get("language_detection") == "true",
        }


def _wrong(query: QueryParams) -> str:
    """What is wrong with a connection's parameters; nothing when they are right."""
    if unknown := sorted(set(query) - _PARAMETERS):
        return unknown[0]
    if query.get("speech_model") not in (_ENGLISH, _MULTILINGUAL):
        return "speech_model"
    if not query.get("sample_rate", "").isdigit():
        return "sample_rate"
    if query.get("encoding", "pcm_s16le") not in _BYTES_A_SAMPLE:
        return "encoding"
    if "language_detection" in query and query["speech_model"] != _MULTILINGUAL:
        return "language_detection"
    return ""


def _plain(word: Spoken) -> Spoken:
    return Spoken(word.text.strip(".,?!").lower(), word.start_s, word.end_s)


async def _refuse(websocket: WebSocket, code: int, reason: str) -> None:
    await websocket.send_json({"type": "Error", "error_code": code, "error": reason})
    await websocket.close(code, reason if len(reason) <= 123 else "See Error message for details")

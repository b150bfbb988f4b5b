"""Deepgram's live transcription API.

Sources (read 2026-11-24): developers.deepgram.com/reference/speech-to-text/listen-streaming, /docs/finalize,
/docs/close-stream, /docs/encoding, /docs/models-languages-overview, /docs/nova-3-language-prompting,
/docs/errors and /docs/stt-troubleshooting-websocket-data-and-net-errors.

Documented request:  GET wss://api.deepgram.com/v1/listen?encoding=mulaw&sample_rate=8000&model=nova-3,
                     `Authorization: Token KEY`; then audio as binary messages, {"type": "Finalize"} and
                     {"type": "CloseStream"}.
Documented response: {"type": "Metadata", "transaction_key": "deprecated",
                     "request_id": "8c8ebea9-dbec-45fa-a035-e4632cb05b5f", "sha256": "e3b0c442...",
                     "created": "2024-08-29T22:37:55.202Z", "duration": 0.0, "channels": 0}
                     after the last of the `Results`, upon CloseStream; then the server closes.

Stricter than the vendor in one thing: it refuses parameters that are not documented.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar
from uuid import UUID

from starlette.responses import Response
from starlette.websockets import WebSocket

from tests.vendors.transcription import LiveSimulator, parsed, spread

WORDS_A_RESULT = 50
_REQUEST = str(UUID(int=8))
_SWITCHES = {"diarize", "dictation", "filler_words", "interim_results", "mip_opt_out", "multichannel",
             "numerals", "profanity_filter", "punctuate", "smart_format", "vad_events"}  # fmt: skip
_PARAMETERS = _SWITCHES | {"callback", "callback_method", "channels", "encoding", "endpointing", "extra",
                           "keyterm", "language", "language_hint", "model", "redact", "replace",
                           "sample_rate", "search", "tag", "utterance_end_ms", "version"}  # fmt: skip
_BYTES_A_SAMPLE = {"linear16": 2, "mulaw": 1, "alaw": 1}
"""Of the documented encodings, those of raw audio."""
_LANGUAGES = {"multi", "af", "ar", "be", "bg", "bn", "bs", "ca", "cs", "da", "de", "el", "en", "es", "et",
              "fa", "fi", "fr", "gl", "gu", "he", "hi", "hr", "hu", "id", "it", "ja", "kn", "ko", "lt",
              "lv", "mk", "mr", "ms", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "ta",
              "te", "th", "tl", "tr", "uk", "vi", "xh", "zh", "zu"}  # fmt: skip


class Deepgram(LiveSimulator):
    path: ClassVar[str] = "/v1/listen"
    models: ClassVar[frozenset[str]] = frozenset({"nova-3", "nova-3-general", "nova-3-medical", "nova-2"})

    def told(self, language: str) -> str | None:
        return "multi" if language == "auto" else language

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        code = {400: "Bad Request", 401: "INVALID_AUTH", 429: "TOO_MANY_REQUESTS"}
        return {"err_code": code.get(status, "INTERNAL"), "err_msg": message, "request_id": _REQUEST}

    async def converse(self, websocket: WebSocket) -> None:
        if refusal := self._refusal(websocket):
            await websocket.send_denial_response(refusal)
            return
        query = websocket.query_params
        await websocket.accept(headers=[(b"dg-request-id", _REQUEST.encode())])
        stream = _Stream(self, websocket, int(query["sample_rate"]), query["encoding"], query["language"])
        while True:
            match await self.message(websocket):
                case bytes(audio):
                    await stream.hear(audio)
                    self.listening.set()
                case text:
                    self.said.append(text)
                    match parsed(text):
                        case {"type": "KeepAlive"}:
                            pass
                        case {"type": "Finalize"}:
                            await stream.finalise(self.text, from_finalize=True)
                        case {"type": "CloseStream"}:
                            await stream.finalise(self.text, from_finalize=False)
                            self.heard.append(stream.summary(query["model"]))
                            await websocket.send_json(stream.metadata())
                            await websocket.close(1000)
                            return
                        case _:
                            await websocket.close(1008, "DATA-0000")
                            return

    def _refusal(self, websocket: WebSocket) -> Response | None:
        query = websocket.query_params
        if websocket.headers.get("authorization") != f"Token {self.key}":
            return self.error(401, "Invalid credentials.")
        unknown = sorted(set(query) - _PARAMETERS)
        switches = [name for name in _SWITCHES & set(query) if query[name] not in ("true", "false")]
        if unknown or switches:
            return self.error(400, f"Bad Request: Unexpected parameter: {(unknown or switches)[0]}.")
        if query.get("encoding") not in _BYTES_A_SAMPLE:
            return self.error(400, "Bad Request: Invalid or unsupported `encoding` query parameter.")
        if not query.get("sample_rate", "").isdigit() or query.get("channels", "1") != "1":
            return self.error(400, "Bad Request: `sample_rate` is required with `encoding`.")
        if query.get("model") not in self.models or query.get("language", "en") not in _LANGUAGES:
            return self.error(400, "Bad Request: No such model/language/tier combination found.")
        return None


class _Stream:
    """The audio of one connection, and what has been said of it."""

    def __init__(
        self, vendor: Deepgram, websocket: WebSocket, rate_hz: int, encoding: str, language: str
    ) -> None:
        self._vendor = vendor
        self._websocket = websocket
        self._rate_hz = rate_hz
        self._encoding = encoding
        self._language = language
        self._audio = bytearray()
        self._final_s = 0.0
        """Up to where all is final."""

    @property
    def seconds(self) -> float:
        return len(self._audio) / _BYTES_A_SAMPLE[self._encoding] / self._rate_hz

    async def hear(self, audio: bytes) -> None:
        first = not self._audio
        self._audio += audio
        if first and self._vendor.early:
            await self._say(self._vendor.early, self.seconds, from_finalize=False)

    async def finalise(self, text: str, *, from_finalize: bool) -> None:
        """Make what was heard final, once."""
        if self._final_s == self.seconds:
            return
        words = text.split()
        pieces = [
            " ".join(words[at : at + WORDS_A_RESULT]) for at in range(0, len(words), WORDS_A_RESULT)
        ] or [""]
        began_s, step = self._final_s, (self.seconds - self._final_s) / len(pieces)
        for index, piece in enumerate(pieces, 1):
            last = index == len(pieces)
            end_s = self.seconds if last else began_s + index * step
            await self._say(piece, end_s, from_finalize=from_finalize and last)

    async def _say(self, text: str, end_s: float, *, from_finalize: bool) -> None:
        spoken = spread(text, self._final_s, end_s)
        words = [
            {
                "word": word.text.strip(".,?!").lower(),
                "start": word.start_s,
                "end": word.end_s,
                "confidence": 0.98,
                "punctuated_word": word.text,
            }
            for word in spoken
        ]
        best: dict[str, Any] = {"transcript": text, "confidence": 0.98 if words else 0.0, "words": words}
        if self._language == "multi":
            best["languages"] = ["en"]
            best["words"] = [{**word, "language": "en"} for word in words]
        await self._websocket.send_json(
            {
                "type": "Results",
                "channel_index": [0, 1],
                "start": self._final_s,
                "duration": end_s - self._final_s,
                "is_final": True,
                "speech_final": True,
                "from_finalize": from_finalize,
                "channel": {"alternatives": [best]},
                "metadata": {"request_id": _REQUEST, "model_uuid": _REQUEST},
            }
        )
        self._final_s = end_s

    def metadata(self) -> dict[str, Any]:
        return {
            "type": "Metadata",
            "transaction_key": "deprecated",
            "request_id": _REQUEST,
            "sha256": hashlib.sha256(self._audio).hexdigest(),
            "created": "2026-11-24T22:37:55.202Z",
            "duration": self.seconds,
            "channels": 1,
        }

    def summary(self, model: str) -> dict[str, Any]:
        return {
            "model": model,
            "language": self._language,
            "rate_hz": self._rate_hz,
            "seconds": self.seconds,
            "encoding": self._encoding,
        }

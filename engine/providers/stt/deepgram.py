"""Live speech to text by Deepgram.

Sources: developers.deepgram.com/reference/speech-to-text/listen-streaming (parameters, messages),
/docs/finalize, /docs/close-stream, /docs/models-languages-overview and /docs/encoding, and
/docs/stt-troubleshooting-websocket-data-and-net-errors (close codes).

Audio goes out as it is: mu-law, A-law and int16 at any rate. `Finalize` has what was heard made final and
`CloseStream` ends the stream; the closing `Metadata` comes after all results. Not through Deepgram's SDK: see
`engine.providers.stt.live`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from websockets.frames import CloseCode

from engine.errors import ProviderError, ProviderRejected
from engine.providers.base import Word
from engine.providers.stt.live import Line, LiveStt
from engine.providers.stt.utterance import Heard, Utterance
from engine.providers.stt.vendor import AudioFormat
from engine.providers.vendor import without_quotes

_ENCODINGS = {"mulaw": "mulaw", "alaw": "alaw", "pcm16": "linear16"}
_ANY_LANGUAGE = "multi"


class DeepgramStt(LiveStt):
    """Of a language that the model does not know Deepgram itself says so, when it is asked."""

    name: ClassVar[str] = "deepgram"
    default_base_url: ClassVar[str] = "wss://api.deepgram.com/v1"
    default_model: ClassVar[str] = "nova-3"
    path = "/listen"

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Token {self.options.api_key}"}

    def line(self, form: AudioFormat, language: str) -> Line:
        query = {
            "encoding": _ENCODINGS[form.encoding],
            "sample_rate": str(form.rate_hz),
            "channels": "1",
            "model": self.model,
            "language": _ANY_LANGUAGE if language == "auto" else language,
            "punctuate": "true",
            "smart_format": "true",
            "interim_results": "false",
        }
        return Line(query, DeepgramUtterance(language, self.served_by))


class DeepgramUtterance(Utterance):
    """Final results, one after the other; each is of a piece of the audio of its own."""

    provider = DeepgramStt.name
    last_words = ('{"type": "Finalize"}', '{"type": "CloseStream"}')

    def __init__(self, language: str, served_by: str) -> None:
        super().__init__(language, served_by)
        self._texts: list[str] = []
        self._words: list[Word] = []
        self._languages: Counter[str] = Counter()

    def _read(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "Results", "is_final": False}:
                pass
            case {
                "type": "Results",
                "is_final": True,
                "channel": {"alternatives": [{"transcript": str(text), "words": list(words)}, *_]},
            }:
                self._words += [self._word(word) for word in words]
                self._texts.append(text)
                self._languages.update(str(word["language"]) for word in words if "language" in word)
            case {"type": "Results"}:
                raise self.nonsense("results of another shape")
            case {"type": "Metadata", "duration": float() | int() as duration_s}:
                # One may also come at the beginning, when nothing has been heard.
                self.done = self.ending and duration_s > 0

    def _word(self, word: Any) -> Word:
        match word:
            case {
                "word": str(text),
                "start": float() | int() as start_s,
                "end": float() | int() as end_s,
                "confidence": float() | int() as confidence,
            }:
                spelt = str(word.get("punctuated_word") or text)
                return Word(spelt, round(start_s * 1_000), round(end_s * 1_000), confidence)
            case _:
                raise self.nonsense("a word of another shape")

    def _heard(self) -> Heard:
        text = " ".join(text.strip() for text in self._texts if text.strip())
        language = next((name for name, _ in self._languages.most_common(1)), "")
        return Heard(text, tuple(self._words), language)

    def _close_error(self, code: int, reason: str) -> ProviderError:
        line = f"{code} {without_quotes(reason)}".strip()
        if code == CloseCode.POLICY_VIOLATION:
            return ProviderRejected(f"{self.provider} refused the audio: {line}", provider=self.provider)
        return self.broke_off(line)

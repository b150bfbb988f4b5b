"""Live speech to text by AssemblyAI: Universal-Streaming, version 3.

Sources, below assemblyai.com/docs: streaming/message-sequence (messages and their order), api-reference/
streaming-api/universal-streaming (parameters), streaming/universal-streaming/multilingual-transcription, and
streaming/common-session-errors-and-closures (errors, which come after the handshake: a wrong key too).

Mu-law and int16 go out as they are, A-law as int16. Audio messages hold 50 to 1,000 ms, so that the last one
of an utterance may be filled up with silence. Audio that comes much faster than real time may be refused;
that is told as ProviderUnavailable, since another vendor may take it. Not through AssemblyAI's SDK: see
`engine.providers.stt.live`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from websockets.frames import CloseCode

from engine.audio.g711 import ALAW_SILENCE, ULAW_SILENCE
from engine.errors import ProviderError, ProviderRefusesUs, ProviderRejected, ProviderUnavailable
from engine.providers.base import Word
from engine.providers.stt.live import Line, LiveStt
from engine.providers.stt.utterance import Heard, Utterance
from engine.providers.stt.vendor import AudioFormat
from engine.providers.vendor import without_quotes

_ENGLISH = "universal-streaming-english"
_MULTILINGUAL = "universal-streaming-multilingual"
_LANGUAGES = {
    _ENGLISH: frozenset({"en"}),
    _MULTILINGUAL: frozenset({"auto", "de", "en", "es", "fr", "it", "pt"}),
}
_FILLERS = {"mulaw": bytes([ULAW_SILENCE]), "alaw": bytes([ALAW_SILENCE]), "pcm16": b"\0"}
_INVALID_MESSAGE, _INVALID_AUDIO, _TOO_MANY_SESSIONS = 3006, 3007, 3009


class AssemblyAiStt(LiveStt):
    """Without `options.model`, English goes to the English model and the rest to the multilingual one.

    Universal-Streaming cannot be told a language: it is chosen with the model, and "auto" has the
    multilingual one say which it heard. Of models that are not known here the languages are not checked.
    """

    name: ClassVar[str] = "assemblyai"
    default_base_url: ClassVar[str] = "wss://streaming.assemblyai.com/v3"
    default_model: ClassVar[str] = _ENGLISH
    path = "/ws"

    def headers(self) -> dict[str, str]:
        return {"Authorization": self.options.api_key}

    def line(self, form: AudioFormat, language: str) -> Line:
        model = self._model_for(language)
        query = {
            "speech_model": model,
            "sample_rate": str(form.rate_hz),
            "encoding": "pcm_mulaw" if form.encoding == "mulaw" else "pcm_s16le",
            "format_turns": "true",
        }
        if language == "auto":
            query["language_detection"] = "true"

        def as_pcm(audio: bytes) -> bytes:
            return form.to_pcm(audio).astype("<i2").tobytes()

        return Line(
            query,
            AssemblyAiUtterance(language, f"{self.name}/{model}"),
            encode=as_pcm if form.encoding == "alaw" else bytes,
            smallest_ms=50,
            largest_ms=1_000,
            filler=_FILLERS[form.encoding],
        )

    def _model_for(self, language: str) -> str:
        model = self.options.model or (_ENGLISH if language == "en" else _MULTILINGUAL)
        known = _LANGUAGES.get(model)
        if known is not None and language not in known:
            raise ProviderRejected(
                f"{self.name}'s {model} does not know the language {language!r}; it knows "
                f"{', '.join(sorted(known - {'auto'}))}",
                provider=self.name,
            )
        return model


@dataclass(frozen=True, slots=True)
class _Turn:
    text: str
    words: tuple[Word, ...]
    formatted: bool
    language: str


class AssemblyAiUtterance(Utterance):
    """Turns by number. Each is told again as it grows, and once more when it has been formatted."""

    provider = AssemblyAiStt.name
    greets = True
    last_words = ('{"type": "ForceEndpoint"}', '{"type": "Terminate"}')

    def __init__(self, language: str, served_by: str) -> None:
        super().__init__(language, served_by)
        self._turns: dict[int, _Turn] = {}

    def _read(self, message: dict[str, Any]) -> None:
        match message:
            case {"type": "Begin"}:
                self.begun = True
            case {
                "type": "Turn",
                "turn_order": int() as order,
                "transcript": str(text),
                "words": list(found),
            }:
                words = tuple(self._word(word) for word in found)
                if not message.get("end_of_turn"):
                    text = " ".join(word.text for word in words)  # the transcript lacks words that may change
                known = self._turns.get(order)
                turn = _Turn(
                    text,
                    words,
                    bool(message.get("turn_is_formatted")),
                    str(message.get("language_code") or (known.language if known else "")),
                )
                if known is None or turn.formatted or not known.formatted:
                    self._turns[order] = turn
            case {"type": "Turn"}:
                raise self.nonsense("a turn of another shape")
            case {"type": "Termination"}:
                if not self.ending:
                    raise self.broke_off("it ended the session early")
                self.done = True
            case {"type": "Error", "error": str(reason)}:
                code = message.get("error_code")
                raise self._close_error(code if isinstance(code, int) else 0, reason)

    def _word(self, word: Any) -> Word:
        match word:
            case {
                "text": str(text),
                "start": float() | int() as start_ms,
                "end": float() | int() as end_ms,
                "confidence": float() | int() as confidence,
            }:
                return Word(text, round(start_ms), round(end_ms), confidence)
            case _:
                raise self.nonsense("a word of another shape")

    def _heard(self) -> Heard:
        turns = [turn for _, turn in sorted(self._turns.items()) if turn.text.strip()]
        return Heard(
            " ".join(turn.text.strip() for turn in turns),
            tuple(word for turn in turns for word in turn.words),
            next((turn.language for turn in reversed(turns) if turn.language), ""),
        )

    def _close_error(self, code: int, reason: str) -> ProviderError:
        """An Error message and the close that follows it have the same code.

        Too many sessions have been called "unauthorized" too, and audio that comes too fast shares its code
        with messages of a wrong duration.
        """
        line = f"{self.provider} answered {code}: {without_quotes(reason)}"
        lowered = reason.lower()
        if code == _TOO_MANY_SESSIONS or "too many" in lowered or "rate exceeded" in lowered:
            return ProviderUnavailable(line, provider=self.provider)
        if code == CloseCode.POLICY_VIOLATION or lowered.startswith("unauthorized"):
            return ProviderRefusesUs(f"{line} (check its key, account and model)", provider=self.provider)
        if code in (_INVALID_MESSAGE, _INVALID_AUDIO):
            return ProviderRejected(line, provider=self.provider)
        return self.broke_off(f"{code} {reason}".strip())

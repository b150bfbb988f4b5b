"""The engine's provider protocols over Serve deployment handles. Deadlines are the conductor's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from grpc import RpcError
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from engine.call.services import Services
from engine.errors import ProviderUnavailable
from engine.providers.base import (
    ChatDelta,
    ChatRequest,
    Passage,
    Speech,
    SpeechRequest,
    SttSession,
    Transcript,
)
from engine.providers.stt.session import BufferedSession
from engine.providers.stub import (
    StubDelays,
    StubKnowledge,
    StubLanguageModel,
    StubStt,
    StubTts,
    StubTurnModel,
)

_LOST = (RayError, RayServeException, RpcError)
"""What a handle raises when its replica fails; gRPC, which is beneath, lets its own errors by."""


class LocalStt:
    """Whisper decodes at `finish`, so a session is a buffer on this side."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def _transcribe(self, audio: bytes, language: str) -> Transcript:
        return await _ask("stt", self._handle.transcribe.remote(audio, language))  # type: ignore[no-any-return]

    def session(self, *, language: str = "en") -> SttSession:
        return BufferedSession(self._transcribe, language=language)


class LocalTurnModel:
    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def score(self, audio: bytes) -> float:
        return float(await _ask("turn", self._handle.score.remote(audio)))

    async def words(self, text: str, language: str) -> float:
        return float(await _ask("turn", self._handle.words.remote(text, language)))


class LocalKnowledge:
    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def search(self, company_id: str, query: str, limit: int, language: str) -> Sequence[Passage]:
        search = self._handle.search.remote(company_id, query, limit, language)
        passages: Sequence[Passage] = await _ask("knowledge", search)
        return passages


class LocalLanguageModel:
    def __init__(self, handle: Any) -> None:
        self._handle = handle.options(stream=True)

    async def generate(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        stream = self._handle.generate.remote(request)
        try:
            async for delta in stream:
                yield delta
        except _LOST as error:
            raise ProviderUnavailable(f"llm: {_line(error)}", provider="local") from error
        finally:
            stream.cancel()


class LocalTts:
    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def synthesise(self, request: SpeechRequest) -> Speech:
        speech: Speech = await _ask("tts", self._handle.synthesise.remote(request))
        return speech


async def _ask(kind: str, response: Any) -> Any:
    """Await a handle's response; a cancelled wait cancels the work at the replica too."""
    try:
        return await response
    except _LOST as error:
        raise ProviderUnavailable(f"{kind}: {_line(error)}", provider="local") from error


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]


def handles() -> dict[str, Any]:
    """Handles of the five internal applications."""
    return {name: serve.get_app_handle(name) for name in ("stt", "turn", "knowledge", "llm", "tts")}


def local_services(handles: dict[str, Any], journal: Any) -> Services:
    return Services(
        stt=LocalStt(handles["stt"]),
        turn=LocalTurnModel(handles["turn"]),
        knowledge=LocalKnowledge(handles["knowledge"]),
        llm=LocalLanguageModel(handles["llm"]),
        tts=LocalTts(handles["tts"]),
        journal=journal,
    )


def stub_services(delays: StubDelays, journal: Any) -> Services:
    """No model and no handle: for measuring the engine alone."""
    return Services(
        stt=StubStt(delays),
        turn=StubTurnModel(delays),
        knowledge=StubKnowledge(delays),
        llm=StubLanguageModel(delays),
        tts=StubTts(delays),
        journal=journal,
    )

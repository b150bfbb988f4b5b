"""The engine's provider protocols over Serve deployment handles. Deadlines are the conductor's."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from grpc import RpcError
from ray import serve
from ray.exceptions import RayError
from ray.serve.exceptions import RayServeException

from engine.call.services import Services
from engine.call.spec import CallSpec
from engine.config import Settings
from engine.errors import ProviderError, ProviderUnavailable
from engine.providers.base import (
    ChatDelta,
    ChatRequest,
    Passage,
    Speech,
    SpeechRequest,
    SttSession,
    Transcript,
    TurnModel,
)
from engine.providers.installation import chain
from engine.providers.registry import LOCAL, Kind
from engine.providers.stt.session import BufferedSession

if TYPE_CHECKING:
    from actors.chains import Chains

log = logging.getLogger("parley.call")
_LOST = (RayError, RayServeException, RpcError)
"""What a handle raises when its replica fails; gRPC, which is beneath, lets its own errors by."""
_UNANSWERED = "Unexpected error (StatusCode."
"""How Serve's RuntimeError begins when a replica that goes does not say whether it took the request."""


class LocalStt:
    """Whisper decodes at `finish`, so a session is a buffer on this side."""

    live = False

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

    def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        return _stream("llm", self._handle.generate.remote(request))


class LocalTts:
    def __init__(self, handle: Any) -> None:
        self._handle = handle.options(stream=True)

    def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        if ":" in request.voice:  # a vendor's: what is local speaks in its own
            request = replace(request, voice="")
        return _stream("tts", self._handle.speak.remote(request))


async def _ask(kind: str, response: Any) -> Any:
    """Await a handle's response; a cancelled wait cancels the work at the replica too."""
    with _mapped_errors(kind):
        return await response


async def _stream(kind: str, response: Any) -> AsyncGenerator[Any, None]:
    """What a handle's response gives; closed early, it ends the work at the replica too."""
    try:
        with _mapped_errors(kind):
            async for item in response:
                yield item
    finally:
        response.cancel()


@contextmanager
def _mapped_errors(kind: str) -> Iterator[None]:
    try:
        yield
    except ProviderError as error:
        # Through Ray it is a RayError too, whose text is a traceback; `cause` is the error itself.
        raise getattr(error, "cause", error) from None
    except _LOST as error:
        raise ProviderUnavailable(f"{kind}: {_line(error)}", provider="local") from error
    except RuntimeError as error:
        # No type of its own, and a RuntimeError is what our mistakes raise too: those stay what they are.
        if not str(error).startswith(_UNANSWERED):
            raise
        raise ProviderUnavailable(f"{kind}: {_line(error)}", provider="local") from error


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]


def handles(kinds: Iterable[str]) -> dict[str, Any]:
    """Handles of the internal applications that are needed."""
    return {name: serve.get_app_handle(name) for name in kinds}


class Providers:
    """A call process's way to every provider, local ones and vendors, and the chains of them."""

    def __init__(self, config: Settings, opened: Mapping[str, Any], journal: Any) -> None:
        self._config = config
        self._journal = journal
        self._turn: TurnModel = LocalTurnModel(opened["turn"]) if "turn" in opened else NoTurnModel()
        self._knowledge = LocalKnowledge(opened["knowledge"])
        makers: dict[str, Callable[[Any], Any]] = {
            "stt": LocalStt,
            "llm": LocalLanguageModel,
            "tts": LocalTts,
        }
        self._local = {kind: make(opened[kind]) for kind, make in makers.items() if kind in opened}
        self._chains: Chains | None = None

    def services(self, spec: CallSpec) -> Services:
        """For a call; its agent's vendors are started. Raises ConfigurationError for a wrong chain."""
        return Services(
            stt=self._chain("stt", spec),
            turn=self._turn,
            knowledge=self._knowledge,
            llm=self._chain("llm", spec),
            tts=self._chain("tts", spec),
            journal=self._journal,
        )

    def _chain(self, kind: Kind, spec: CallSpec) -> Any:
        """The local provider alone, or a chain of several."""
        names = self._deployed(kind, chain(kind, self._config, spec.agent))
        if not names:
            # Its chain was checked when it was set; the installation has changed since.
            log.warning("no %s provider of agent %s is deployed: the installation's are", kind, spec.agent.id)
            names = self._deployed(kind, chain(kind, self._config))
        if names == [LOCAL]:
            return self._local[kind]
        if self._chains is None:
            # Here and not above: a process without chains has no memory for them.
            from actors.chains import Chains

            self._chains = Chains(self._local)
        return self._chains.of(kind, names, spec)

    def _deployed(self, kind: Kind, names: Sequence[str]) -> list[str]:
        return [name for name in names if name != LOCAL or kind in self._local]


class NoTurnModel:
    """Where there is no turn model, words and silence decide."""

    async def score(self, audio: bytes) -> float:
        return 0.5

    async def words(self, text: str, language: str) -> float:
        return 0.5

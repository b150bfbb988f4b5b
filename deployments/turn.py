"""The `turn` Serve application: has the caller finished? `serve_config.yaml` names `deployments.turn:build`.

Callers ask its deployment by handle: `score(audio)` with mu-law 8 kHz, the last 8 s at most, for what the
intonation says, and `words(text, language)` for what the words say.
"""

# No `from __future__ import annotations`: Serve needs the class itself in `build`'s annotation.

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application

from actors.node import prepare_replica
from engine.providers.stt.batching import BatchLimits, BatchQueue
from engine.providers.turn.words import LANGUAGES, NICE, UNKNOWN
from engine.weights import folder


class TurnArgs(BaseModel):
    """Arguments of the `turn` application."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    weights: str = "smart-turn-v3.2"
    words: str = Field(default="smollm2-135m", description="a small language model (GGUF); empty: none")
    threads: int = Field(default=1, ge=1, description="threads for one score")
    workers: int = Field(default=1, ge=1, description="scores at once in a replica")
    max_waiting: int = Field(default=32, ge=1, description="requests that may wait for a worker")


class TurnReplica:
    """One turn model for many calls. Light to import: the model is loaded in the replica alone."""

    def __init__(self, args: TurnArgs) -> None:
        """Loads the model and warms it up. Raises WeightsError or ConfigurationError."""
        from engine.providers.turn.smart_turn import SmartTurn
        from engine.providers.turn.words import WordsModel

        prepare_replica()
        self._args = args
        self._model = SmartTurn(folder(args.weights), threads=args.threads)
        self._model.score(b"")
        limits = BatchLimits(workers=args.workers, waiting=args.max_waiting, hung_after_s=10, nice=NICE)
        self._queue: BatchQueue[bytes, float] = BatchQueue("smart-turn", self._score, limits)
        self._words = WordsModel(folder(args.words)) if args.words else None
        if self._words is not None:
            self._words.finished("When do you open")
        self._words_queue: BatchQueue[str, float] = BatchQueue("words", self._finished, limits)

    async def score(self, audio: bytes) -> float:
        """Probability (0 to 1) that the caller has finished. Cancelled before its turn, it is not computed.

        Raises ProviderUnavailable (overloaded, or the runtime failed).
        """
        return await self._queue.run(audio)

    async def words(self, text: str, language: str) -> float:
        """Probability (0 to 1) that the words are a finished utterance; 0.5 where no model can tell.

        Raises ProviderUnavailable (overloaded, or the runtime failed).
        """
        if self._words is None or language.partition("-")[0] not in LANGUAGES:
            return UNKNOWN
        return await self._words_queue.run(text)

    async def info(self) -> dict[str, Any]:
        """What runs here and what it has done: plain values, fit for JSON."""
        return {
            "weights": self._args.weights,
            "words": self._args.words,
            "threads": self._args.threads,
            "workers": self._args.workers,
            "waiting": self._queue.waiting,
            "scores": self._queue.items,
        }

    async def check_health(self) -> None:
        """Called by Serve; raises when a score hangs, and Serve replaces the replica."""
        self._queue.check()
        self._words_queue.check()

    def _finished(self, texts: Sequence[str]) -> Sequence[float]:
        assert self._words is not None
        return [self._words.finished(text) for text in texts]

    def _score(self, audios: Sequence[bytes]) -> Sequence[float]:
        return [self._model.score(audio) for audio in audios]


deployment = serve.deployment(
    name="Turn",
    max_ongoing_requests=64,
    ray_actor_options={"num_cpus": 0},
    health_check_period_s=2,
    health_check_timeout_s=10,
    graceful_shutdown_timeout_s=5,
)(TurnReplica)


def build(args: TurnArgs) -> Application:
    """The application, as `serve_config.yaml` asks for it."""
    return deployment.bind(args)

"""The `tts` Serve application: text to speech, on the CPU. `serve_config.yaml` names `deployments.tts:build`.

Callers ask its deployment by handle, with a SpeechRequest whose text is already normalised
(`engine.speech.normalise`): `speak` gives the parts as they come (`handle.options(stream=True)`),
`synthesise` the whole. How many replicas and how they scale is said in `serve_config.yaml`.
"""

# No `from __future__ import annotations`: Serve needs the class itself in `build`'s annotation.

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application

from actors.node import prepare_replica
from engine.config import settings
from engine.providers.base import Speech, SpeechRequest
from engine.providers.tts.cache import PhraseCache
from engine.providers.tts.local import LocalTextToSpeech, TtsInfo
from engine.weights import folder

WARM_UP = ("Hello.", "You can bring the form to the front desk on any day of the week, and we will help you.")


class TtsArgs(BaseModel):
    """Arguments of the `tts` application."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    voices: Annotated[tuple[str, ...], Field(min_length=1)] = ("piper-joe",)
    """Names of weights; the first is the default voice."""
    threads: int = Field(default=2, ge=1, description="threads for one step: with two a third sooner")
    workers: int = Field(default=1, ge=1, description="steps of syntheses at once in a replica")
    max_waiting: int = Field(default=32, ge=0, description="requests that may wait for a worker, at any step")
    phrase_bytes: int = Field(default=16 * 2**20, ge=0, description="fixed phrases kept in memory")
    phrase_disk_bytes: int = Field(
        default=64 * 2**20, ge=0, description="fixed phrases kept on disk; 0: none"
    )


class TextToSpeechReplica:
    """Voices loaded once, for many calls. Light to import: models are loaded in the replica alone."""

    def __init__(self, args: TtsArgs) -> None:
        """Loads and warms the voices, whose level is known then.

        Raises ConfigurationError (no piper) or WeightsError.
        """
        from engine.providers.tts.piper import PiperVoiceModel

        prepare_replica()
        voices = {name: PiperVoiceModel(folder(name), threads=args.threads) for name in args.voices}
        for voice in voices.values():
            for text in WARM_UP:
                voice.synthesise(text)
        kept = settings().data_dir / "phrases" if args.phrase_disk_bytes else None
        cache = PhraseCache(args.phrase_bytes, kept, args.phrase_disk_bytes)
        self._speech = LocalTextToSpeech(voices, cache, workers=args.workers, max_waiting=args.max_waiting)

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        """As `engine.providers.tts.local.LocalTextToSpeech`, so `synthesise`."""
        async with aclosing(self._speech.speak(request)) as parts:
            async for part in parts:
                yield part

    async def synthesise(self, request: SpeechRequest) -> Speech:
        return await self._speech.synthesise(request)

    async def voices(self) -> list[str]:
        """The voices that a request may name; the first is the default."""
        return list(self._speech.info().voices)

    async def info(self) -> TtsInfo:
        return self._speech.info()

    async def check_health(self) -> None:
        """Called by Serve; raises when a step has hung, and Serve replaces the replica."""
        self._speech.check()


deployment = serve.deployment(
    name="TextToSpeech",
    max_ongoing_requests=64,
    ray_actor_options={"num_cpus": 0},
    health_check_period_s=2,
    health_check_timeout_s=10,
    graceful_shutdown_timeout_s=10,
)(TextToSpeechReplica)


def build(args: TtsArgs) -> Application:
    """The application, as `serve_config.yaml` asks for it."""
    return deployment.bind(args)

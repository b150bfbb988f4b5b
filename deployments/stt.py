"""The `stt` Serve application: speech to text. `serve_config.yaml` names `deployments.stt:build`.

Callers ask its deployment by handle: `transcribe(audio, language)` with mu-law 8 kHz. Replicas, GPU share and
autoscaling are said in the `deployments:` section of the Serve config; the defaults suit one CPU machine.
"""

# No `from __future__ import annotations`: Serve needs the class itself in `build`'s annotation.

import dataclasses
import time
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application

from actors.node import prepare_replica
from engine.providers.base import SAMPLE_RATE_HZ, Transcript
from engine.providers.pace import Load
from engine.providers.stt.batching import BatchLimits, BatchQueue
from engine.weights import folder

WARM_UP_S = (1, 25)
"""One utterance in a fitting window and one in the full window."""


class SttArgs(BaseModel):
    """Arguments of the `stt` application."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    weights: str = "whisper-tiny.en"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compute_type: str = Field(default="int8", description="int8; on a GPU float16 or int8_float16")
    workers: int = Field(default=1, ge=1, description="decodes at once in a replica")
    cpu_threads: int = Field(default=1, ge=1, description="threads for each worker; one is fastest")
    padding_frames: int = Field(default=800, ge=200, le=3000, description="10 ms each, after an utterance")
    beam_size: int = Field(default=1, ge=1, le=10)
    largest_batch: int | None = Field(
        default=None, ge=1, le=64, description="utterances in one pass; by default 1 on a CPU and 16 on a GPU"
    )
    max_waiting: int = Field(default=64, ge=1, description="utterances that may wait for a worker")


class SpeechToTextReplica:
    """One Whisper for many calls. Light to import: the model is loaded in the replica alone."""

    def __init__(self, args: SttArgs) -> None:
        """Loads the model and warms it up. Raises WeightsError, ConfigurationError or ProviderUnavailable."""
        from engine.providers.stt.ctranslate import WhisperOptions
        from engine.providers.stt.whisper import WhisperDecoder

        prepare_replica()
        self._args = args
        options = WhisperOptions(
            device=args.device,
            compute_type=args.compute_type,
            cpu_threads=args.cpu_threads,
            workers=args.workers,
            padding_frames=args.padding_frames,
            beam_size=args.beam_size,
        )
        self._decoder = WhisperDecoder.load(folder(args.weights), options)
        for seconds in WARM_UP_S:
            self._decoder.transcribe(bytes(range(256)) * (seconds * SAMPLE_RATE_HZ // 256), "auto")
        largest = args.largest_batch or (16 if self._decoder.model.device == "cuda" else 1)
        limits = BatchLimits(workers=args.workers, largest_batch=largest, waiting=args.max_waiting)
        self._largest_batch = largest
        self._load = Load()
        self._queue: BatchQueue[tuple[bytes, str], tuple[Transcript, float | None]] = BatchQueue(
            "whisper", self._decode, limits
        )

    async def transcribe(self, audio: bytes, language: str = "en") -> Transcript:
        """What is said in `audio` (mu-law 8 kHz). A request cancelled before its turn is not decoded.

        Raises ProviderRejected (language) or ProviderUnavailable (overloaded, or the device failed).
        """
        self._decoder.resolve_language(language)
        began = time.monotonic()
        transcript, alone_s = await self._queue.run((audio, language))
        now = time.monotonic()
        load = None if alone_s is None else self._load.note(now - began, alone_s, now)
        return dataclasses.replace(transcript, load=load)

    async def info(self) -> dict[str, Any]:
        """What runs here and what it has done: plain values, fit for JSON."""
        model = self._decoder.model
        return {
            "weights": self._args.weights,
            "device": model.device,
            "compute_type": model.compute_type,
            "languages": sorted(model.languages),
            "workers": self._args.workers,
            "largest_batch": self._largest_batch,
            "padding_frames": self._args.padding_frames,
            "waiting": self._queue.waiting,
            "batches": self._queue.batches,
            **dataclasses.asdict(self._decoder.counts),
        }

    async def check_health(self) -> None:
        """Called by Serve; raises when a decode hangs, and Serve replaces the replica."""
        self._queue.check()

    def _decode(self, requests: Sequence[tuple[bytes, str]]) -> list[tuple[Transcript, float | None]]:
        """Each transcript and how long the pass takes alone, in seconds; None where that cannot be told."""
        audios, languages = zip(*requests, strict=True)
        began, cpu = time.monotonic(), time.process_time()
        transcripts = self._decoder.transcribe_batch(audios, languages)
        alone_s: float | None = time.monotonic() - began
        if self._decoder.model.device == "cpu":
            # Other processes take turns with the model there: what counts is the CPU that it was given.
            one_thread = self._args.cpu_threads == self._args.workers == 1
            alone_s = time.process_time() - cpu if one_thread else None
        return [(transcript, alone_s) for transcript in transcripts]


deployment = serve.deployment(
    name="SpeechToText",
    max_ongoing_requests=64,
    ray_actor_options={"num_cpus": 0},
    health_check_period_s=2,
    health_check_timeout_s=10,
    graceful_shutdown_timeout_s=10,
)(SpeechToTextReplica)


def build(args: SttArgs) -> Application:
    """The application, as `serve_config.yaml` asks for it."""
    return deployment.bind(args)

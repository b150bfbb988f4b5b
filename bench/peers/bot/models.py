"""The weights, loaded once and shared by all calls, in the form that Pipecat's services ask for.

Pipecat's own services load a model for each call and leave no say in beam, threads or audio rate. Loading
once and choosing these is what a careful operator of it would do; all else is left as the services have it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import soxr
from faster_whisper import WhisperModel
from numpy.typing import NDArray
from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from pipecat.services.openai.llm import OpenAILLMService
from pipecat.services.piper.tts import PiperTTSService
from pipecat.services.tts_service import TTSService
from pipecat.services.whisper.stt import WhisperSTTService
from pipecat.utils.http import connection_limits
from piper import PiperVoice
from piper.config import PiperConfig

CALL_HZ = 8_000
WHISPER_HZ = 16_000
WARM_UP = "You can bring the form to the front desk on any day of the week."


class SharedWhisper:
    """A faster-whisper model that takes a call's audio: int8, greedy, one thread for each of two decodes.

    On two cores one thread decodes as fast as two (about 320 ms a question, most of it the encoder's 30 s
    window), and two simultaneous turns need not wait for each other.
    """

    def __init__(self, folder: Path) -> None:
        self._model = WhisperModel(
            str(folder), device="cpu", compute_type="int8", cpu_threads=1, num_workers=2
        )
        self.supported_languages = self._model.supported_languages

    def transcribe(self, audio: NDArray[np.float32], **asked: Any) -> Any:
        """As `WhisperModel.transcribe`, for audio of shape (samples,) at 8,000 Hz."""
        return self._model.transcribe(
            soxr.resample(audio, CALL_HZ, WHISPER_HZ),
            beam_size=1,
            without_timestamps=True,
            condition_on_previous_text=False,
            **asked,
        )


@dataclass(frozen=True, slots=True)
class Models:
    """All that the calls of this process share."""

    whisper: SharedWhisper
    voice: PiperVoice

    @classmethod
    def load(cls, folder: Path) -> Models:
        """From Parley's models folder; decodes and speaks once, so that no caller waits for a first time."""
        models = cls(SharedWhisper(folder / "whisper-tiny.en"), load_voice(folder / "piper-joe"))
        segments, _ = models.whisper.transcribe(np.zeros(CALL_HZ, np.float32), language="en")
        list(segments)
        list(models.voice.synthesize(WARM_UP))
        return models


def load_voice(folder: Path) -> PiperVoice:
    """The Piper voice in a folder, on two threads that do not spin while they wait, as Parley has it."""
    [weights] = folder.glob("*.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
    config = json.loads(Path(f"{weights}.json").read_text(encoding="utf-8"))
    return PiperVoice(session=session, config=PiperConfig.from_dict(config))


class Ears(WhisperSTTService):
    """Pipecat's Whisper service on the shared model."""

    def __init__(self, whisper: SharedWhisper, **rest: Any) -> None:
        self._shared = whisper
        # Only how long a transcript that never comes is waited for; the default, said to spare a warning.
        super().__init__(settings=self.Settings(model="tiny.en"), ttfs_p99_latency=1.0, **rest)

    def _load(self) -> None:
        self._model = self._shared


class Mouth(PiperTTSService):
    """Pipecat's Piper service on the shared voice; its own constructor would load one for each call."""

    def __init__(self, voice: PiperVoice, **rest: Any) -> None:
        settings = self.Settings(model=None, voice="joe", language=None)
        TTSService.__init__(self, push_start_frame=True, push_stop_frames=True, settings=settings, **rest)
        self._voice = voice


class Mind(OpenAILLMService):
    """Pipecat's OpenAI service. llama.cpp's server closes connections that clients believe in: no reuse."""

    def create_client(self, api_key: Any = None, base_url: Any = None, **_: Any) -> AsyncOpenAI:
        limits = connection_limits(max_keepalive_connections=0, max_connections=1000, keepalive_expiry=None)
        client = DefaultAsyncHttpxClient(limits=limits)
        return AsyncOpenAI(api_key=api_key, base_url=base_url, http_client=client)

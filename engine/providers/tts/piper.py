"""Piper voices, on the CPU.

piper-tts is GPL-3.0: it is imported here alone, when a voice is loaded; the extra `piper` installs it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError, ProviderRejected, ProviderUnavailable, WeightsError
from engine.providers.tts.finish import finish

NAME = "piper"
MAX_CHARS = 1_000
MIN_SPEED, MAX_SPEED = 0.5, 2.0
LONG_PHONEMES = 400
"""About 40 words in one sentence."""
_FINISH_VERSION = 1
"""Part of the fingerprint: raise it when `finish` changes, so that kept phrases are made anew."""


class PiperVoiceModel:
    """One voice. Blocking, safe to call from several threads; holds 200 to 300 MB.

    `folder` holds one `*.onnx` with its `*.onnx.json`. `threads` work on one request; two shorten it on idle
    cores and cost throughput on busy ones.

    Raises ConfigurationError without piper-tts, WeightsError when the folder is not a voice.
    """

    def __init__(self, folder: Path, *, threads: int = 1) -> None:
        try:
            import onnxruntime
            from piper.config import PiperConfig, SynthesisConfig
            from piper.voice import PiperVoice
        except ImportError as error:
            raise ConfigurationError(
                f"the local voice cannot be imported ({error}): pip install 'parley[piper]' (GPL-3.0)"
            ) from error
        weights, description = _voice_files(folder)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Waiting threads would spin, on cores that other models need.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # PiperVoice.load leaves no say in the threads, so the session is made here.
        try:
            config = json.loads(description.read_text(encoding="utf-8"))
            self._voice = PiperVoice(
                session=_Session(onnxruntime, weights, options),
                config=PiperConfig.from_dict(config),
            )
        except Exception as error:
            raise WeightsError(
                f"the voice in {folder} cannot be loaded: run `parley models pull {folder.name}`"
            ) from error
        self._synthesis = SynthesisConfig
        self.name = folder.name
        digest = hashlib.sha256(description.read_bytes())
        digest.update(f"{weights.stat().st_size} {_FINISH_VERSION}".encode())
        self.fingerprint = digest.hexdigest()[:12]
        """Changes with the voice's files: what was kept of another voice by this name is not this one's."""

    def synthesise(self, text: str, speed: float = 1.0) -> bytes:
        """`text` as mu-law, 8,000 Hz; b'' when there is nothing in it to pronounce.

        `speed` 0.5 to 2.0. Raises ProviderRejected for a speed or a length out of range, ProviderUnavailable
        when the model fails.
        """
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise ProviderRejected(f"speed {speed} is not {MIN_SPEED} to {MAX_SPEED}", provider=NAME)
        if len(text) > MAX_CHARS:
            raise ProviderRejected(
                f"{len(text)} characters are more than {MAX_CHARS}: cut the text", provider=NAME
            )
        if not any(char.isalnum() for char in text):
            return b""
        # Piper takes [[...]] for raw phonemes.
        spoken = text.replace("[[", "[ [").replace("]]", "] ]")
        wanted = self._synthesis(length_scale=self._voice.config.length_scale / speed, normalize_audio=False)
        try:
            sentences = [
                chunk.audio_float_array.reshape(-1) for chunk in self._voice.synthesize(spoken, wanted)
            ]
        except Exception as error:
            raise ProviderUnavailable(f"the voice {self.name} failed: {error}", provider=NAME) from error
        return finish(sentences, self._voice.config.sample_rate, text)


class _Session:
    """What Piper asks of an onnxruntime session, without its appetite.

    onnxruntime keeps the memory of its longest run: 1.2 GB after a sentence of 200 words. After a long one
    it is told to give it back; doing so after every run would cost 5 % of the time.
    """

    def __init__(self, onnxruntime: Any, weights: Path, options: Any) -> None:
        self._run_options = onnxruntime.RunOptions
        self._session = onnxruntime.InferenceSession(
            str(weights), options, providers=["CPUExecutionProvider"]
        )

    def run(self, outputs: list[str] | None, inputs: dict[str, Any]) -> Any:
        options = self._run_options()
        if inputs["input"].shape[1] > LONG_PHONEMES:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return self._session.run(outputs, inputs, options)


def _voice_files(folder: Path) -> tuple[Path, Path]:
    """The model and its description."""
    found = [path for path in sorted(folder.glob("*.onnx")) if Path(f"{path}.json").is_file()]
    if len(found) != 1:
        raise WeightsError(
            f"{folder} holds {len(found)} voices, not one: run `parley models pull {folder.name}` again"
        )
    return found[0], Path(f"{found[0]}.json")

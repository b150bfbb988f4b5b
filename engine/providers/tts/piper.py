"""Piper voices, on the CPU.

piper-tts is GPL-3.0: it is imported here alone, when a voice is loaded; the extra `piper` installs it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigurationError, ProviderRejected, ProviderUnavailable, WeightsError
from engine.providers.tts.finish import Finisher, Level
from engine.providers.tts.local import Part

if TYPE_CHECKING:
    from engine.providers.tts.piper_graph import Graph

NAME = "piper"
MAX_CHARS = 1_000
MIN_SPEED, MAX_SPEED = 0.5, 2.0
_FINISH_VERSION = 2
"""Part of the fingerprint: raise it when the finish changes, so that kept phrases are made anew."""


class PiperVoiceModel:
    """One voice. Blocking, safe to call from several threads; holds 200 to 300 MB.

    `folder` holds one `*.onnx` with its `*.onnx.json`. `threads` work on one request; two shorten it on idle
    cores and cost throughput on busy ones. `load` makes the graph of the file and onnxruntime's options
    (`piper_graph.load`, unless another is given). How loud the voice is, is learned from what it says: let it
    say something before somebody waits for it.

    Raises ConfigurationError without piper-tts, WeightsError when the folder is not a voice.
    """

    def __init__(
        self, folder: Path, *, threads: int = 1, load: Callable[[Path, Any], Graph] | None = None
    ) -> None:
        try:
            import onnxruntime
            from piper.config import PiperConfig
            from piper.voice import PiperVoice

            from engine.providers.tts import piper_graph
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
        try:
            config = PiperConfig.from_dict(json.loads(description.read_text(encoding="utf-8")))
            # For phonemes alone: its session would make a sentence's audio at once, with all cores.
            self._piper = PiperVoice(session=None, config=config)
            self._graph = (load or piper_graph.load)(weights, options)
        except Exception as error:
            raise WeightsError(
                f"the voice in {folder} cannot be loaded: run `parley models pull {folder.name}`"
            ) from error
        self._level = Level()
        self.name = folder.name
        digest = hashlib.sha256(description.read_bytes())
        digest.update(f"{weights.stat().st_size} {_FINISH_VERSION}".encode())
        self.fingerprint = digest.hexdigest()[:12]
        """Changes with the voice's files: what was kept of another voice by this name is not this one's."""

    def synthesise(self, text: str, speed: float = 1.0) -> bytes:
        """All parts of `stream` together."""
        return b"".join(part.audio for part in self.stream(text, speed))

    def stream(self, text: str, speed: float = 1.0) -> Iterator[Part]:
        """`text` in parts as they may be played, at least one: mu-law, 8,000 Hz.

        Of each sentence there is an empty part first, when it is known how it will be pronounced, and then
        one of some 300 ms. A last part that is empty is the only one: there is nothing to pronounce. `speed`
        0.5 to 2.0. Raises, with the first part,
        ProviderRejected for a speed or a length out of range; with any, ProviderUnavailable when the model
        fails.
        """
        if not MIN_SPEED <= speed <= MAX_SPEED:
            raise ProviderRejected(f"speed {speed} is not {MIN_SPEED} to {MAX_SPEED}", provider=NAME)
        if len(text) > MAX_CHARS:
            raise ProviderRejected(
                f"{len(text)} characters are more than {MAX_CHARS}: cut the text", provider=NAME
            )
        try:
            yield from self._parts(text, speed)
        except Exception as error:
            raise ProviderUnavailable(f"the voice {self.name} failed: {error}", provider=NAME) from error

    def _parts(self, text: str, speed: float) -> Iterator[Part]:
        sentences = self._sentences(text)
        finisher = Finisher(self._piper.config.sample_rate, text, self._level)
        audio, last = b"", False
        for sentence in sentences:
            passes = self._graph.encode(self._inputs(sentence, speed))
            yield Part(b"")
            for decode in passes:
                audio += finisher.push(np.clip(decode(), -1, 1))
                if decode is passes[-1]:
                    last = sentence is sentences[-1]
                    audio += finisher.end() if last else finisher.next_sentence()
                if audio or last:
                    yield Part(audio, last)
                    audio = b""
        if not last:
            yield Part(b"", last=True)

    def _sentences(self, text: str) -> list[list[int]]:
        """The ids of each sentence's phonemes."""
        if not any(char.isalnum() for char in text):
            return []
        # Piper takes [[...]] for raw phonemes.
        spoken = text.replace("[[", "[ [").replace("]]", "] ]")
        return [self._piper.phonemes_to_ids(found) for found in self._piper.phonemize(spoken) if found]

    def _inputs(self, ids: list[int], speed: float) -> dict[str, NDArray[Any]]:
        """As `PiperVoice.phoneme_ids_to_audio` makes them."""
        config = self._piper.config
        scales = (config.noise_scale, config.length_scale / speed, config.noise_w_scale)
        inputs: dict[str, NDArray[Any]] = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": np.array(scales, np.float32),
        }
        if config.num_speakers > 1:
            inputs["sid"] = np.array([config.default_speaker_id], np.int64)
        return inputs


def _voice_files(folder: Path) -> tuple[Path, Path]:
    """The model and its description."""
    found = [path for path in sorted(folder.glob("*.onnx")) if Path(f"{path}.json").is_file()]
    if len(found) != 1:
        raise WeightsError(
            f"{folder} holds {len(found)} voices, not one: run `parley models pull {folder.name}` again"
        )
    return found[0], Path(f"{found[0]}.json")

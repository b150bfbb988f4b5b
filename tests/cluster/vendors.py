"""Simulated vendors for the server under test: two of each kind that a call is made of, and a live one."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.vendors.anthropic_messages import AnthropicMessages
from tests.vendors.assemblyai import AssemblyAi
from tests.vendors.elevenlabs import ElevenLabs
from tests.vendors.groq_chat import GroqChat
from tests.vendors.groq_transcription import GroqTranscription
from tests.vendors.openai_chat import OpenAiChat
from tests.vendors.openai_speech import OpenAiSpeech
from tests.vendors.openai_transcription import OpenAiTranscription
from tests.vendors.simulator import KEY, VendorSimulator

KEYS = ("GROQ", "OPENAI", "ELEVENLABS", "ASSEMBLYAI", "ANTHROPIC")
PATHS = {"groq": "/openai/v1", "openai": "/v1", "elevenlabs": "", "assemblyai": "/v3", "anthropic": ""}


@dataclass(frozen=True)
class Vendors:
    """`environ`: what a server needs to use them."""

    stt_groq: GroqTranscription
    stt_openai: OpenAiTranscription
    stt_assemblyai: AssemblyAi
    llm_groq: GroqChat
    llm_openai: OpenAiChat
    llm_anthropic: AnthropicMessages
    tts_elevenlabs: ElevenLabs
    tts_openai: OpenAiSpeech
    environ: Mapping[str, str]

    def all(self) -> Iterator[VendorSimulator]:
        yield from (self.stt_groq, self.stt_openai, self.stt_assemblyai)
        yield from (self.llm_groq, self.llm_openai, self.llm_anthropic)
        yield from (self.tts_elevenlabs, self.tts_openai)

    def well(self) -> None:
        """No faults, and nothing seen."""
        for simulator in self.all():
            simulator.fault = None
            simulator.seen.clear()


@contextmanager
def running_vendors() -> Iterator[Vendors]:
    simulators = {
        "stt:groq": GroqTranscription(),
        "stt:openai": OpenAiTranscription(),
        "stt:assemblyai": AssemblyAi(),
        "llm:groq": GroqChat(),
        "llm:openai": OpenAiChat(),
        "llm:anthropic": AnthropicMessages(),
        "tts:elevenlabs": ElevenLabs(),
        "tts:openai": OpenAiSpeech(),
    }
    with ExitStack() as stack:
        options: dict[str, dict[str, object]] = {
            where: {"base_url": stack.enter_context(one.in_thread()) + PATHS[where.partition(":")[2]]}
            for where, one in simulators.items()
        }
        options["llm:groq"]["connections"] = 100  # so many may ask it at the same moment
        environ = {"PARLEY_PROVIDER_OPTIONS": json.dumps(options)}
        environ |= {f"PARLEY_{name}_API_KEY": KEY for name in KEYS}
        named = {where.replace(":", "_"): one for where, one in simulators.items()}
        yield Vendors(**named, environ=environ)  # type: ignore[arg-type]

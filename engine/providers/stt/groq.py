"""Speech to text by Groq, which serves Whisper through OpenAI's transcription API.

Source: console.groq.com/docs/speech-to-text. Both its models are Whisper's, so all of them answer with
`verbose_json`: words with times, and the log probabilities of segments.
"""

from __future__ import annotations

from typing import ClassVar

from engine.providers.stt.openai import OpenAiStt


class GroqStt(OpenAiStt):
    name: ClassVar[str] = "groq"
    default_base_url: ClassVar[str] = "https://api.groq.com/openai/v1"
    default_model: ClassVar[str] = "whisper-large-v3-turbo"

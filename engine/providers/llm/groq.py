"""Language models by Groq, which speaks OpenAI's API.

Sources (read 2026-11-28): console.groq.com/docs, "API reference", "Supported models", "Reasoning" and
"Model deprecation".
"""

from __future__ import annotations

from typing import ClassVar

from engine.providers.llm.openai import OpenAiLlm
from engine.providers.llm.openai_compatible import Manner
from engine.providers.llm.vendor import THINKING_TOKENS


class GroqLlm(OpenAiLlm):
    """`reasoning_effort`: for models that think, other than the least that they can be told.

    The default is the fastest of those for production. The Llama models were shut down on 2026-08-16.
    """

    name: ClassVar[str] = "groq"
    default_base_url: ClassVar[str] = "https://api.groq.com/openai/v1"
    default_model: ClassVar[str] = "openai/gpt-oss-20b"

    def manner(self) -> Manner:
        """GPT-OSS always thinks, Qwen unless it is told not to. Thoughts are not for the caller's ears."""
        lowest = {"openai": "low", "qwen": "none"}.get(self.model.partition("/")[0])
        effort = self.options.extra.get("reasoning_effort", lowest)
        match effort:
            case None:
                return Manner(limit="max_completion_tokens")
            case "none":
                return Manner(limit="max_completion_tokens", fields={"reasoning_effort": "none"})
            case _:
                return Manner(
                    limit="max_completion_tokens",
                    thinking_tokens=THINKING_TOKENS,
                    fields={"reasoning_effort": effort, "include_reasoning": False},
                )

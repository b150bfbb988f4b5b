"""Language models by OpenAI.

Sources (read 2026-11-28): developers.openai.com/api/docs, "Chat Completions", "Reasoning models" and
"Deprecations"; help.openai.com/en/articles/20001600-migrating-from-gpt-4x-to-gpt-6-luna: what follows
gpt-4.1-mini, and begins best when it is told not to think.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import ClassVar

from engine.providers.base import ChatDelta, ChatRequest
from engine.providers.llm.openai_compatible import Endpoint, Manner, OpenAICompatible
from engine.providers.llm.vendor import THINKING_TOKENS, VendorLlm
from engine.providers.vendor import VendorOptions

_THINKS = re.compile(r"o\d|gpt-[5-9]")
_LOWEST_EFFORT = ((re.compile(r"o\d"), "low"), (re.compile(r"gpt-5(-|$)"), "minimal"))
"""GPT-5.1 and later can be told not to think at all."""


class OpenAiLlm(VendorLlm):
    """`reasoning_effort`: for models that think, other than the least that they can be told."""

    name: ClassVar[str] = "openai"
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    default_model: ClassVar[str] = "gpt-6-luna"
    extras: ClassVar[frozenset[str]] = frozenset({"reasoning_effort"})

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        self._model = OpenAICompatible(
            Endpoint(
                self.base_url,
                self.model,
                options.api_key,
                connect_s=options.connect_s,
                silence_s=options.silence_s,
                connections=options.connections,
                seed=None,
                name=self.served_by,
                manner=self.manner(),
            )
        )

    def manner(self) -> Manner:
        """The o-series and GPT-5 and later think, and refuse `max_tokens`, `temperature` and `stop`.

        Some of them take the latter two when they do not think; none needs to be asked that way. With
        thinking, `/chat/completions` refuses tools for the newest.
        """
        if not _THINKS.match(self.model):
            return Manner()
        lowest = next((effort for models, effort in _LOWEST_EFFORT if models.match(self.model)), "none")
        effort = self.options.extra.get("reasoning_effort", lowest)
        return Manner(
            limit="max_completion_tokens",
            thinking_tokens=0 if effort == "none" else THINKING_TOKENS,
            temperature=False,
            stop=False,
            fields={"reasoning_effort": effort},
        )

    async def close(self) -> None:
        await self._model.close()

    def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        return self._model.generate(request)

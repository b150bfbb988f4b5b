"""Language models by OpenAI. Source: platform.openai.com/docs/api-reference/chat."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import ClassVar

from engine.providers.base import ChatDelta, ChatRequest
from engine.providers.llm.openai_compatible import Endpoint, OpenAICompatible
from engine.providers.llm.vendor import VendorLlm
from engine.providers.vendor import VendorOptions


class OpenAiLlm(VendorLlm):
    name: ClassVar[str] = "openai"
    default_base_url: ClassVar[str] = "https://api.openai.com/v1"
    default_model: ClassVar[str] = "gpt-4.1-mini"

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
            )
        )

    async def close(self) -> None:
        await self._model.close()

    def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        return self._model.generate(request)

"""The base of language-model vendors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing

from engine.providers.base import ChatDelta, ChatRequest, Message
from engine.providers.vendor import Vendor

GO_ON = "Go on from exactly where you stopped. Do not repeat anything."
"""What a model that cannot be prefilled is asked, to go on with a reply that was begun."""

THINKING_TOKENS = 512
"""Added to a reply's limit where the model's thinking counts towards it and cannot be switched off.

A guess, not the vendors': at its lowest, thinking takes some tens of tokens before a spoken answer.
"""


class VendorLlm(Vendor):
    """A LanguageModel."""

    @abstractmethod
    def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        """As `OpenAICompatible.generate`, of which also the rules for spaces hold."""

    @property
    def served_by(self) -> str:
        return f"{self.name}/{self.model}"

    async def sample(self) -> str:
        request = ChatRequest((Message("user", "Say OK."),), max_tokens=8)
        async with aclosing(self.generate(request)) as deltas:
            async for _ in deltas:
                pass
        return self.model

"""Tool calls come in pieces, several interleaved; a caller wants them whole."""

from __future__ import annotations

from dataclasses import dataclass

from openai.types.chat import ChatCompletionChunk

from engine.providers.base import ToolCall


@dataclass(slots=True)
class _Growing:
    id: str = ""
    name: str = ""
    arguments: str = ""


class ToolCallAssembler:
    """Puts the pieces of an OpenAI stream together, by their `index`."""

    def __init__(self) -> None:
        self._calls: dict[int, _Growing] = {}

    def push(self, chunk: ChatCompletionChunk) -> None:
        for choice in chunk.choices[:1]:
            for piece in choice.delta.tool_calls or ():
                call = self._calls.setdefault(piece.index, _Growing())
                call.id = piece.id or call.id
                if piece.function is not None:
                    call.name += piece.function.name or ""
                    call.arguments += piece.function.arguments or ""

    def whole(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(call.id, call.name, call.arguments) for _, call in sorted(self._calls.items()))

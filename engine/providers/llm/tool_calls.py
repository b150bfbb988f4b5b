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
    """Puts the pieces of a stream together, by their `index`."""

    def __init__(self) -> None:
        self._calls: dict[int, _Growing] = {}

    def __bool__(self) -> bool:
        return bool(self._calls)

    def push(self, chunk: ChatCompletionChunk) -> None:
        """OpenAI's pieces."""
        for choice in chunk.choices[:1]:
            for piece in choice.delta.tool_calls or ():
                function = piece.function
                name, arguments = (function.name, function.arguments) if function else (None, None)
                self.add(piece.index, piece.id or "", name or "", arguments or "")

    def add(self, index: int, id: str = "", name: str = "", arguments: str = "") -> None:
        call = self._calls.setdefault(index, _Growing())
        call.id = id or call.id
        call.name += name
        call.arguments += arguments

    def whole(self) -> tuple[ToolCall, ...]:
        """In order. A call that came without arguments has an empty object of them."""
        calls = [call for _, call in sorted(self._calls.items())]
        return tuple(ToolCall(call.id, call.name, call.arguments or "{}") for call in calls)

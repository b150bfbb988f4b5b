"""Looking up the facts of a turn: the one processor in the pipeline that Pipecat does not bring.

It asks the facts service (`bench/peers/facts.py`), which searches and writes the prompt exactly as Parley
does, and either has the model answer from that prompt or has a fixed phrase spoken.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import aiohttp
from loguru import logger
from pipecat.frames.frames import Frame, LLMContextFrame, TTSSpeakFrame
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

FACTS_S = 10.0


@dataclass(slots=True)
class Exchange:
    """A turn of the caller's, what was said to it, and the facts that it was answered from."""

    caller: str
    agent: str = ""
    facts: list[str] = field(default_factory=list)


class Facts(FrameProcessor):
    """Between the user's aggregator and the model: replaces the conversation by the prompt of this turn."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        super().__init__()
        self._session = session
        self._url = url
        self._history: list[Exchange] = []

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if not isinstance(frame, LLMContextFrame):
            await self.push_frame(frame, direction)
            return
        caller, said = last_turns(frame.context.messages)
        if said and self._history:
            self._history[-1].agent = said
        elif not said and self._history:
            # Interrupted before a word: the aggregated text of the caller has both turns in it.
            self._history.pop()
        answer = await self._look_up(caller)
        if answer is None:
            return
        self._history.append(Exchange(caller, facts=answer.get("facts", [])))
        if "say" in answer:
            await self.push_frame(TTSSpeakFrame(answer["say"]))
        else:
            await self.push_frame(LLMContextFrame(LLMContext(answer["messages"])))

    async def _look_up(self, caller: str) -> dict[str, Any] | None:
        history = [{"caller": one.caller, "agent": one.agent, "facts": one.facts} for one in self._history]
        try:
            async with self._session.post(
                self._url,
                json={"caller": caller, "history": history},
                timeout=aiohttp.ClientTimeout(total=FACTS_S),
            ) as response:
                response.raise_for_status()
                found: dict[str, Any] = await response.json()
                return found
        except (aiohttp.ClientError, TimeoutError) as error:
            logger.error(f"no facts for a turn: {error!r}")
            return None


def last_turns(messages: list[Any]) -> tuple[str, str]:
    """What the caller said last, and what the agent had said between that and the caller's turn before."""
    parts: dict[str, list[str]] = {"user": [], "assistant": []}
    wanted = "user"
    for message in reversed(messages):
        role, content = message["role"], str(message["content"])
        if role != wanted:
            if wanted == "assistant":
                break
            wanted = "assistant"
        parts[role].insert(0, content.strip())
    return " ".join(parts["user"]), " ".join(parts["assistant"])

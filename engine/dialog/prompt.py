"""From an agent, a conversation and this turn's facts to the messages for the language model. Pure.

The prompt only grows at its end: system text, then every exchange with the facts that it had, then this
turn. So all but the new words is in the model's prefix cache. When it would grow too long, the oldest
exchanges go in one step, down to half the budget, so that the cache is lost once and not in each turn.

A caller's turn is written as `Caller: ...`, a line break, `Facts: ...`, the best fact last. What stands next
to the answer is what a very small model copies; a chat template can make a transcript of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.providers.base import ChatRequest, Message
from models import AgentConfig, Example

STOP: tuple[str, ...] = ("\n",)
"""An answer is one line: after it a small model would go on to play the caller."""

HISTORY_CHARS = 3_000
"""About 750 tokens: with system text and answer well within a context of 2,048."""
TURN_CHARS = 1_500
"""A longer turn of the caller's keeps its end: what is asked comes last."""

STARTER_EXAMPLES: tuple[Example, ...] = (
    Example(
        facts="The shop is open Tuesday to Saturday from 10 am to 7 pm.",
        caller="When can I come by?",
        agent="The shop is open Tuesday to Saturday from 10 am to 7 pm.",
    ),
    Example(
        facts="A new tyre costs 25 dollars.",
        caller="What do you charge for a tyre?",
        agent="A new tyre costs 25 dollars.",
    ),
    Example(
        facts="Bicycles can be hired for a day or a week.",
        caller="Can I rent a bike?",
        agent="Bicycles can be hired for a day or a week.",
    ),
)
"""Answers in the very words of the facts: a small model that may rephrase makes things up."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A turn of the caller's, the facts it was answered from, and what the caller heard of the answer."""

    caller: str
    agent: str
    facts: tuple[str, ...] = ()


def build(
    agent: AgentConfig, history: Sequence[Exchange], facts: Sequence[str], caller: str
) -> tuple[Message, ...]:
    """The messages for a turn: one of the system, exchanges as user and assistant, this turn as user.

    `facts` come best first.
    Only exchanges that were answered from facts are shown. The others (thanks, "I do not know that") were
    answered by fixed phrases, and a small model that sees one refusal goes on refusing.
    """
    messages = [opening(agent)]
    for exchange in _within_budget([each for each in history if each.facts and each.agent.strip()]):
        messages.append(Message("user", _turn(exchange.facts, exchange.caller)))
        messages.append(Message("assistant", _one_line(exchange.agent)))
    messages.append(Message("user", _turn(facts, caller)))
    return tuple(messages)


def opening(agent: AgentConfig) -> Message:
    """What all prompts of an agent begin with."""
    examples = agent.examples or STARTER_EXAMPLES
    worked = (f"{_turn((each.facts,), each.caller)}\nAgent: {_one_line(each.agent)}" for each in examples)
    return Message("system", "\n\n".join((agent.prompt.strip(), *worked)))


def warm_up(agent: AgentConfig, cache_key: str) -> ChatRequest:
    """A request that has the model read the opening, so that a call's first answer waits for it no more.

    Made while the greeting is played; the one token that it generates means nothing.
    """
    messages = (opening(agent), Message("user", "Caller:"))
    return ChatRequest(messages, max_tokens=1, cache_key=cache_key, opening=True)


def _turn(facts: Sequence[str], caller: str) -> str:
    known = " ".join(_one_line(fact) for fact in reversed(facts)) or "none"
    return f"Caller: {_one_line(caller)[-TURN_CHARS:].lstrip()}\nFacts: {known}"


def _one_line(text: str) -> str:
    """No text may end its line: another line would be somebody else's part in the transcript."""
    return " ".join(text.split())


def _within_budget(history: Sequence[Exchange]) -> Sequence[Exchange]:
    """The newest exchanges that fit. Going through all of history again gives the same cut in each turn."""
    first, total = 0, 0
    for last, exchange in enumerate(history):
        total += _size(exchange)
        if total > HISTORY_CHARS:
            while first < last and total > HISTORY_CHARS // 2:
                total -= _size(history[first])
                first += 1
    return history[first:]


def _size(exchange: Exchange) -> int:
    return len(_turn(exchange.facts, exchange.caller)) + len(exchange.agent)

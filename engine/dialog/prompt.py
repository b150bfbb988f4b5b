"""From an agent, a conversation and this turn's facts to the messages for the language model. Pure.

The prompt only grows at its end: system text, then every exchange with the facts that it had, then this
turn. So all but the new words is in the model's prefix cache. When it would grow too long, the oldest
exchanges go in one step, down to half the budget, so that the cache is lost once and not in each turn.

A caller's turn is written as `Caller: ...`, a line break, `Facts: ...`, the best fact last. What stands next
to the answer is what a very small model copies; a chat template can make a transcript of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from engine.providers.base import ChatRequest, Message, Purpose
from models import AgentConfig, Example

STOP: tuple[str, ...] = ("\n",)
"""An answer is one line: after it a small model would go on to play the caller."""

HISTORY_CHARS = 3_000
"""About 750 tokens: with system text and answer well within a context of 2,048."""
STEP_CHARS = 400
"""Read ahead at once: about 100 tokens, half a second for the starter model."""
_NEXT = "Caller:"
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
    _, kept = _within_budget(history)
    return (opening(agent), *_messages(kept), Message("user", _turn(facts, caller)))


def forgotten(history: Sequence[Exchange]) -> int:
    """How many exchanges the next prompt leaves out, because it would grow too long."""
    return _within_budget(history)[0]


def beginnings(agent: AgentConfig, history: Sequence[Exchange], cache_key: str) -> tuple[ChatRequest, ...]:
    """Requests that have the model read, bit by bit, what the next turn's prompt begins with.

    When the oldest exchanges go, all that is left is read anew. The starter model takes 2 s for half a
    budget: a caller would wait for that, and if it were read in one piece all other callers too.
    """
    _, kept = _within_budget(history)
    requests, unread = [], 0
    for end, exchange in enumerate(kept, start=1):
        unread += _size(exchange)
        if unread >= STEP_CHARS or end == len(kept):
            messages = (opening(agent), *_messages(kept[:end]), Message("user", _NEXT))
            requests.append(ChatRequest(messages, 1, cache_key=cache_key, purpose=Purpose.BEGINNING))
            unread = 0
    return tuple(requests)


def _messages(exchanges: Sequence[Exchange]) -> Iterator[Message]:
    for exchange in exchanges:
        yield Message("user", _turn(exchange.facts, exchange.caller))
        yield Message("assistant", _one_line(exchange.agent))


def opening(agent: AgentConfig) -> Message:
    """What all prompts of an agent begin with."""
    examples = agent.examples or STARTER_EXAMPLES
    worked = (f"{_turn((each.facts,), each.caller)}\nAgent: {_one_line(each.agent)}" for each in examples)
    return Message("system", "\n\n".join((agent.prompt.strip(), *worked)))


def warm_up(agent: AgentConfig, cache_key: str) -> ChatRequest:
    """A request that has the model read the opening, so that a call's first answer waits for it no more.

    Made while the greeting is played; the one token that it generates means nothing.
    """
    messages = (opening(agent), Message("user", _NEXT))
    return ChatRequest(messages, max_tokens=1, cache_key=cache_key, purpose=Purpose.OPENING)


def _turn(facts: Sequence[str], caller: str) -> str:
    known = " ".join(_one_line(fact) for fact in reversed(facts)) or "none"
    return f"Caller: {_one_line(caller)[-TURN_CHARS:].lstrip()}\nFacts: {known}"


def _one_line(text: str) -> str:
    """No text may end its line: another line would be somebody else's part in the transcript."""
    return " ".join(text.split())


def _within_budget(history: Sequence[Exchange]) -> tuple[int, Sequence[Exchange]]:
    """The newest exchanges that fit, and how many older ones do not.

    Going through all of them again gives the same cut in each turn. Those that were not answered from facts,
    or not heard, do not count.
    """
    told = [each for each in history if each.facts and each.agent.strip()]
    first, total = 0, 0
    for last, exchange in enumerate(told):
        total += _size(exchange)
        if total > HISTORY_CHARS:
            while first < last and total > HISTORY_CHARS // 2:
                total -= _size(told[first])
                first += 1
    return first, told[first:]


def _size(exchange: Exchange) -> int:
    return len(_turn(exchange.facts, exchange.caller)) + len(exchange.agent)

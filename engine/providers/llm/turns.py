"""Messages for APIs that keep the system's text apart and have the caller and the agent take turns."""

from __future__ import annotations

from collections.abc import Iterable

from engine.providers.base import Message


def system_and_turns(messages: Iterable[Message]) -> tuple[str, list[Message]]:
    """The system's texts as one, and the rest: consecutive messages of one role merged, empty ones left out.

    Vendors refuse a message without text.
    """
    system: list[str] = []
    turns: list[Message] = []
    for message in messages:
        if not message.content.strip():
            continue
        if message.role == "system":
            system.append(message.content)
        elif turns and turns[-1].role == message.role:
            turns[-1] = Message(message.role, f"{turns[-1].content}\n{message.content}")
        else:
            turns.append(message)
    return "\n\n".join(system), turns

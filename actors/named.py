"""Another process's way to a named actor of Parley."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import ray
from ray.exceptions import RayActorError

from actors import NAMESPACE

T = TypeVar("T")


class NamedActor:
    """An actor's handle: looked up when it is first needed, and anew after the actor died.

    A look-up asks Ray's control store and blocks meanwhile, so it is made in a thread: on the loop of an edge
    every call's audio would wait for it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._handle: Any = None

    async def ask(self, question: Callable[[Any], Awaitable[T]]) -> T:
        """What `question`, given the handle, is answered.

        Raises ValueError when there is no actor of that name, and what the question raises.
        """
        if self._handle is None:
            self._handle = await asyncio.to_thread(ray.get_actor, self.name, NAMESPACE)
        handle = self._handle
        try:
            return await question(handle)
        except RayActorError:
            if self._handle is handle:
                self._handle = None
            raise

    def tell(self, message: Callable[[Any], object]) -> None:
        """Say something and wait for nothing; lost when the actor was never asked anything, or is gone."""
        if self._handle is not None:
            message(self._handle)

"""llama.cpp's keys and values of what an agent's prompts begin with, kept in files.

Reading an opening of 160 tokens takes SmolLM2 on one thread 860 ms, in which it reads for nobody else;
bringing back what it made of them takes 5 ms and 23 kB a token. So an opening is read once, not by each call.

The server's part of it: https://github.com/ggml-org/llama.cpp/tree/master/tools/server (`/slots/{id}`).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import httpx2
import psutil

from engine.providers.base import Message

log = logging.getLogger("parley.llm")

MOST_KEPT = 32
"""Of the longest openings that a slot takes these are 1.5 GB."""
ACTION_S = 5.0
_PREFIX = "parley-openings-"


def make_folder() -> Path:
    """A private folder for a server's openings. What processes that are gone left behind is removed."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{_PREFIX}*"):
        pid = left.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(left, ignore_errors=True)  # another user's stay
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=place))


class Openings:
    """Of one server, which was started with `folder` as its `slot_save_path`; ends with it."""

    def __init__(self, base_url: str, api_key: str, folder: Path, most: int = MOST_KEPT) -> None:
        self._slots_url = f"{base_url.removesuffix('/').removesuffix('/v1')}/slots"
        self._folder = folder
        self._most = most
        self._kept: dict[str, None] = {}
        """Names of files; what was not used for longest comes first."""
        self._reading = asyncio.Lock()
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=ACTION_S,
            limits=httpx2.Limits(max_keepalive_connections=0),  # as for replies
        )

    async def close(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def read(
        self, slot: int, messages: Sequence[Message], unused: Callable[[], bool]
    ) -> AsyncIterator[bool]:
        """Whether all is done; where not, the body has the model read `messages` in `slot`, to be kept then.

        One at a time, because callers wait meanwhile, and who comes second finds it read. `unused`: whether
        the slot's call has asked for nothing else: by then it has read the opening itself, and more.
        """
        name = _name(messages)
        async with self._reading:
            done = not unused() or (name in self._kept and await self._act("restore", slot, name))
            yield done
            if not done and unused() and await self._act("save", slot, name):
                self._keep(name)

    async def _act(self, action: Literal["save", "restore"], slot: int, name: str) -> bool:
        """Whether it worked. Where not, the model reads the opening: nothing depends on it."""
        url = f"{self._slots_url}/{slot}"
        try:
            answer = await self._client.post(url, params={"action": action}, json={"filename": name})
        except httpx2.HTTPError as error:
            log.warning("an opening could not be brought to or from a slot: %s", type(error).__name__)
            return False
        if answer.status_code != httpx2.codes.OK:
            log.warning("llama.cpp could not %s an opening: HTTP %d", action, answer.status_code)
            return False
        if action == "restore":
            self._kept[name] = self._kept.pop(name)
        return True

    def _keep(self, name: str) -> None:
        self._kept[name] = None
        while len(self._kept) > self._most:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            (self._folder / oldest).unlink(missing_ok=True)


def _name(messages: Sequence[Message]) -> str:
    text = json.dumps([asdict(message) for message in messages])
    return hashlib.sha256(text.encode()).hexdigest()

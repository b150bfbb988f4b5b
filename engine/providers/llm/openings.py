"""llama.cpp's KV cache of what an agent's prompts begin with, kept in files and put into its calls' slots.

Reading an opening of 160 tokens takes SmolLM2 on one thread 860 ms, in which it reads for nobody else;
bringing back what it made of them takes 5 ms and 23 kB a token. So an opening is read once, not by each call.
Nothing depends on it: where a file cannot be written or read, the model reads the opening.

The server's part of it: https://github.com/ggml-org/llama.cpp/tree/master/tools/server (`/slots/{id}`).
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal
from weakref import WeakValueDictionary

import httpx2

from engine.providers.base import Message

log = logging.getLogger("parley.llm")

MOST_BYTES = 512 << 20
"""On disk. With the starter model a hundred openings; those that were not used for longest go."""
ACTION_S = 5.0
_HELD = ".held"


class Folder:
    """A server's private folder below `place`. What processes left there that are gone is removed.

    Raises OSError where none can be made. Blocks for some ms.
    """

    def __init__(self, place: Path) -> None:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (place / "lock").open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            for other in place.iterdir():
                if other.is_dir() and not _held(other):
                    shutil.rmtree(other, ignore_errors=True)
            self.path = Path(tempfile.mkdtemp(dir=place))
            self._hold = (self.path / _HELD).open("w")
            fcntl.flock(self._hold, fcntl.LOCK_EX)  # let go of when this process ends, however it does

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        self._hold.close()


def _held(folder: Path) -> bool:
    try:
        with (folder / _HELD).open("r+") as hold:
            fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


class Openings:
    """Of one server, which was started with `folder` as its `slot_save_path`; ends with it."""

    def __init__(self, base_url: str, api_key: str, folder: Path, most_bytes: int = MOST_BYTES) -> None:
        self._slots_url = f"{base_url.removesuffix('/').removesuffix('/v1')}/slots"
        self._folder = folder
        self._most_bytes = most_bytes
        self._sizes: dict[str, int] = {}
        """File -> bytes; what was not used for longest comes first."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._client = httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=ACTION_S,
            limits=httpx2.Limits(max_keepalive_connections=0),  # as for replies
        )

    async def close(self) -> None:
        await self._client.aclose()

    def lock(self, messages: Sequence[Message]) -> asyncio.Lock:
        """Hold it while it is read: who comes second then finds it kept."""
        return self._locks.setdefault(_file(messages), asyncio.Lock())

    async def restore(self, slot: int, messages: Sequence[Message]) -> bool:
        """Put the opening into a slot that does nothing. False: it has to be read."""
        file = _file(messages)
        if file not in self._sizes or not await self._act("restore", slot, file):
            return False
        self._sizes[file] = self._sizes.pop(file)
        return True

    async def save(self, slot: int, messages: Sequence[Message]) -> None:
        """Keep the opening that a slot has read."""
        file = _file(messages)
        place = self._folder / file
        if not await self._act("save", slot, file):
            place.unlink(missing_ok=True)
            return
        self._sizes[file] = place.stat().st_size
        while sum(self._sizes.values()) > self._most_bytes:
            oldest = next(iter(self._sizes))
            del self._sizes[oldest]
            (self._folder / oldest).unlink(missing_ok=True)

    async def _act(self, action: Literal["save", "restore"], slot: int, file: str) -> bool:
        url = f"{self._slots_url}/{slot}"
        try:
            answer = await self._client.post(url, params={"action": action}, json={"filename": file})
        except httpx2.HTTPError as error:
            log.warning("an opening could not be brought to or from a slot: %s", type(error).__name__)
            return False
        if answer.status_code != httpx2.codes.OK:
            log.warning("llama.cpp could not %s an opening: HTTP %d", action, answer.status_code)
            return False
        return True


def _file(messages: Sequence[Message]) -> str:
    text = json.dumps([asdict(message) for message in messages])
    return hashlib.sha256(text.encode()).hexdigest()

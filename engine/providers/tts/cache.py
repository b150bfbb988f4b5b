"""Fixed phrases, synthesised once: greetings and apologies are ready before the first caller asks for them.

Memory holds the most recently used; a folder, where there is one, also outlives a restart. Both are bounded
in bytes. The same phrase asked for twice at once is made once. The folder may be shared by several replicas:
files appear whole or not at all, and a damaged one counts as absent.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

logger = logging.getLogger(__name__)

_SUFFIX = ".phrase"
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True)
class PhraseKey:
    """What makes two phrases the same. `voice` should change when the voice's weights do."""

    voice: str
    speed: float
    language: str
    text: str

    def file_name(self) -> str:
        """A name that is safe on any file system, whatever the text."""
        parts = (self.voice, repr(self.speed), self.language, self.text)
        joined = "\0".join(f"{len(part)}:{part}" for part in parts)
        return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).hexdigest() + _SUFFIX


@dataclass(slots=True)
class _Flight:
    """A phrase being made: who waits for it decides whether it goes on."""

    task: asyncio.Task[tuple[bytes, bool]]
    waiting: int = field(default=0)


class PhraseCache:
    """Bounded cache of audio, for one event loop.

    `max_bytes` of audio in memory and `max_disk_bytes` in `folder`; without a folder, memory alone. Disk work
    runs in threads; a disk that fails is logged, and the phrase is made as if it had not been kept.
    """

    def __init__(self, max_bytes: int, folder: Path | None = None, max_disk_bytes: int = 64 * 2**20) -> None:
        self._max_bytes = max_bytes
        self._disk = _Folder(folder, max_disk_bytes) if folder is not None else None
        self._kept: OrderedDict[PhraseKey, bytes] = OrderedDict()
        self._bytes = 0
        self._flights: dict[PhraseKey, _Flight] = {}
        self._writes: set[asyncio.Task[None]] = set()

    @property
    def bytes_in_memory(self) -> int:
        return self._bytes

    def __len__(self) -> int:
        """Phrases in memory."""
        return len(self._kept)

    async def get(self, key: PhraseKey, make: Callable[[], Awaitable[bytes]]) -> tuple[bytes, bool]:
        """The phrase's audio, and whether it was kept (memory or disk) rather than made now.

        `make` is awaited once however many ask; its error goes to all who wait and is not kept. A cancelled
        caller leaves `make` running only while another waits for it.
        """
        audio = self._kept.get(key)
        if audio is not None:
            self._kept.move_to_end(key)
            return audio, True
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = _Flight(asyncio.ensure_future(self._produce(key, make)))
            flight.task.add_done_callback(lambda task: self._landed(key, task))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task)
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.task.done():
                # Out at once: who asks from now on begins anew instead of joining a cancelled one.
                self._forget(key, flight.task)
                flight.task.cancel()

    async def close(self) -> None:
        """Cancels what is being made (its callers see CancelledError); returns when the rest is on disk."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.written()

    async def written(self) -> None:
        """Returns when all phrases made so far are on disk."""
        while self._writes:
            await asyncio.wait(self._writes)

    async def _produce(self, key: PhraseKey, make: Callable[[], Awaitable[bytes]]) -> tuple[bytes, bool]:
        if self._disk is not None:
            audio = await asyncio.to_thread(self._disk.read, key.file_name())
            if audio is not None:
                self._keep(key, audio)
                return audio, True
        audio = await make()
        self._keep(key, audio)
        if self._disk is not None and audio:
            # Nobody waits for the disk.
            write = asyncio.create_task(asyncio.to_thread(self._disk.write, key.file_name(), audio))
            self._writes.add(write)
            write.add_done_callback(self._writes.discard)
        return audio, False

    def _landed(self, key: PhraseKey, task: asyncio.Task[tuple[bytes, bool]]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            # Read here, so that an error whose callers have all gone is no "never retrieved" warning.
            task.exception()

    def _forget(self, key: PhraseKey, task: asyncio.Task[tuple[bytes, bool]]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]

    def _keep(self, key: PhraseKey, audio: bytes) -> None:
        if len(audio) > self._max_bytes:
            return
        self._bytes += len(audio) - len(self._kept.get(key, b""))
        self._kept[key] = audio
        self._kept.move_to_end(key)
        while self._bytes > self._max_bytes:
            self._bytes -= len(self._kept.popitem(last=False)[1])


class _Folder:
    """The phrases on disk: SHA-256 of the audio, then the audio; a file's time is that of its last use."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes

    def read(self, name: str) -> bytes | None:
        path = self._folder / name
        try:
            content = path.read_bytes()
            digest, audio = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
            if hashlib.sha256(audio).digest() != digest:
                logger.warning("dropped a damaged phrase: %s", path)
                path.unlink(missing_ok=True)
                return None
            os.utime(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            logger.warning("cannot read kept phrases: %s", error)
            return None
        return audio

    def write(self, name: str, audio: bytes) -> None:
        if len(audio) + _DIGEST_BYTES > self._max_bytes:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self._folder, prefix=".making-")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(hashlib.sha256(audio).digest() + audio)
                Path(temporary).replace(self._folder / name)
            finally:
                Path(temporary).unlink(missing_ok=True)
            self._shrink()
        except OSError as error:
            logger.warning("cannot keep a phrase in %s: %s", self._folder, error)

    def _shrink(self) -> None:
        """Drops the phrases that have gone unused longest until the rest fits."""
        files = []
        for path in self._folder.glob(f"*{_SUFFIX}"):
            try:
                state = path.stat()
            except FileNotFoundError:
                # Another replica dropped it first.
                continue
            files.append((state.st_mtime_ns, state.st_size, path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._max_bytes:
                return
            path.unlink(missing_ok=True)
            total -= size

"""Sending documents to a server, and waiting until it has read them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from engine.cli.api_session import Body
from engine.cli.asking import Asking
from engine.cli.output import Bars
from engine.errors import UsageError
from engine.knowledge.parse.limits import MIB, Limits
from models import KnowledgeDocument

BLOCK_BYTES = 256 * 1024
POLL_S = 0.5
LARGEST = Limits().file_bytes


class Uploads:
    """Some files on their way. A file that fails does not keep the others back."""

    def __init__(self, asking: Asking, bars: Bars) -> None:
        self._asking = asking
        self._bars = bars
        self._waiting: list[KnowledgeDocument] = []
        self.ended: list[KnowledgeDocument] = []
        """Ready or failed, in the order in which they ended."""
        self.failed: dict[str, str] = {}
        """Name -> why, of what the server refused or could not read."""

    def send(self, files: Sequence[Path]) -> None:
        """Raises UsageError for two of one name: the second would replace the first."""
        names = [path.name for path in files]
        for name in names:
            if names.count(name) > 1:
                raise UsageError(f"two files are called {name}: one would replace the other")
        self._asking.path()  # whoever is not let in is told so once, not for each file
        for path in files:
            try:
                self._waiting.append(self._put(path))
            except UsageError as error:
                self._fail(path.name, str(error))

    def wait(self) -> None:
        """Until every document is ready or failed."""
        while self._waiting:
            for document in self._waiting:
                self._bars.note(document.name, _state(document))
            time.sleep(POLL_S)
            self._waiting = [fresh for one in self._waiting if (fresh := self._look(one)) is not None]

    def _put(self, path: Path) -> KnowledgeDocument:
        size = _size(path)
        if size > LARGEST:
            # The server says so too, but may close the connection before that is heard.
            raise UsageError(f"a document has at most {LARGEST // MIB} MiB: split it")
        self._bars.update(path.name, 0, size)
        body = Body(size, lambda: self._blocks(path, size))
        where = self._asking.path("documents", "by-name", path.name)
        return self._asking.api.ask("PUT", where, KnowledgeDocument, body=body)

    def _blocks(self, path: Path, size: int) -> Iterator[bytes]:
        sent = 0
        try:
            with path.open("rb") as file:
                # No more than was promised, though the file may grow meanwhile.
                while block := file.read(min(BLOCK_BYTES, size - sent)):
                    yield block
                    sent += len(block)
                    self._bars.update(path.name, sent, size)
        except OSError as error:
            raise UsageError(f"cannot read {path}: {error.strerror}") from error

    def _look(self, document: KnowledgeDocument) -> KnowledgeDocument | None:
        """What has become of it; None when it is at its end."""
        where = self._asking.path("documents", document.id)
        try:
            fresh = self._asking.api.ask("GET", where, KnowledgeDocument)
        except UsageError as error:
            self._fail(document.name, str(error))
            return None
        if fresh.status not in ("ready", "failed"):
            return fresh
        self.ended.append(fresh)
        if fresh.status == "failed":
            self._fail(fresh.name, fresh.error or "it could not be read")
        else:
            self._bars.finish(fresh.name, f"ready, {fresh.passages} passages")
        return None

    def _fail(self, name: str, reason: str) -> None:
        self.failed[name] = reason
        self._bars.finish(name, "failed")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def _state(document: KnowledgeDocument) -> str:
    if document.status == "embedding":
        return f"embedding {document.passages_done} of {document.passages}"
    return document.status

"""One installation on a loopback port, for what a person does at a terminal against it."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from click.testing import CliRunner, Result

from engine.api.app import Tenants, create_app
from engine.call.record import put_record, record_of
from engine.cli import parley
from engine.config import Settings
from engine.services.access import Access
from engine.services.following import Following, Pace
from engine.store import Store
from engine.store.documents import KNOWLEDGE
from engine.store.sqlite import SqliteStore
from models import CallEvent
from tests.unit.api_client import PASSWORD, Library, NoCluster
from tests.unit.test_call_record import WHOLE, journal


class Reads(Library):
    """Reads what is uploaded at once: a PDF is damaged, all else is two passages."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    async def ingest(self, company_id: str, document_id: str) -> None:
        await super().ingest(company_id, document_id)
        document = await self._store.documents.get(KNOWLEDGE, company_id, document_id)
        assert document is not None
        change: dict[str, Any] = {"status": "ready", "passages": 2}
        if document.name.endswith(".pdf"):
            change = {"status": "failed", "error": "the PDF is damaged: save it again"}
        await self._store.documents.replace(KNOWLEDGE, document.model_copy(update=change))


class Hurried(Following):
    """Polls at once; a stream ends behind `at_once` events. `asked`: behind what each of them began."""

    def __init__(self, store: Store, at_once: int) -> None:
        super().__init__(store, Pace(poll_s=0.001))
        self._at_once = at_once
        self.asked: list[int] = []

    async def follow(
        self, access: Access, call_id: str, after: int = -1
    ) -> AsyncGenerator[CallEvent | None, None]:
        self.asked.append(after)
        left = self._at_once
        async for event in super().follow(access, call_id, after):
            yield event
            left -= 1
            if not left:
                return


class CliSite:
    """A server at `url`, and `parley` to ask it with."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteStore(folder / "data" / "parley.db")
        self.knowledge = Reads(self.store)
        config = Settings(_env_file=None, data_dir=folder / "data")
        self.cluster = NoCluster()
        self.app = create_app(self.cluster, config, Tenants(self.store, self.knowledge))
        self.url = ""
        self.session_file = folder / "config" / "parley" / "session.json"

    @contextmanager
    def serving(self) -> Iterator[None]:
        """From a thread with a loop of its own. Who connects before it runs waits in the socket's queue."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            server = uvicorn.Server(uvicorn.Config(self.app, log_level="warning", lifespan="off"))
            thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.should_exit = server.force_exit = True
                thread.join()
                asyncio.run(self.store.close())

    def run(self, *arguments: str, typed: str | bytes = "") -> Result:
        """`parley` with these arguments; whatever happens, nobody sees a traceback."""
        result = CliRunner().invoke(parley, arguments, input=typed)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        assert PASSWORD not in result.output
        return result

    def out(self, *arguments: str, typed: str | bytes = "") -> str:
        """What it prints when it must go well."""
        result = self.run(*arguments, typed=typed)
        assert result.exit_code == 0, result.output
        return result.stdout

    def json(self, *arguments: str, typed: str | bytes = "") -> Any:
        return json.loads(self.out(*arguments, "--json", typed=typed))

    def refused(self, *arguments: str, typed: str | bytes = "") -> str:
        """The one line that it says when it must not go well."""
        result = self.run(*arguments, typed=typed)
        assert (result.exit_code, result.stdout) == (1, ""), result.output
        *_, line = result.stderr.splitlines()
        assert line.startswith("parley: error: ")
        return line

    def register(self, name: str = "acme") -> str:
        """A company whose owner is signed in; gives its id."""
        email = f"ann@{name}.example.com"
        arguments = ("companies", "create", name, "--owner-name", "Ann", "--email", email)
        company: str = self.json(*arguments, "--password-stdin", typed=f"{PASSWORD}\n")["company_id"]
        return company

    def kept(self) -> dict[str, Any]:
        """The session at this server, as it is on the disk."""
        session: dict[str, Any] = json.loads(self.session_file.read_text())[self.url]
        return session

    def keep(self, **change: Any) -> None:
        """Change the session on the disk."""
        self.session_file.write_text(json.dumps({self.url: self.kept() | change}))

    def call(self, company: str, call: str = "CA1", until: int = len(WHOLE)) -> list[CallEvent]:
        """A call in the store as far as `until`; gives all events that it has in the end."""
        whose = {"company_id": company, "call_id": call}
        events = [event.model_copy(update=whose) for event in journal(*WHOLE)]
        asyncio.run(self._write(events[:until]))
        return events

    async def _write(self, events: Sequence[CallEvent]) -> None:
        await self.store.append_events(events)
        await put_record(self.store, record_of(events))

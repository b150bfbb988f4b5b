"""Two companies with something of everything, and what must never be seen of one by the other."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from engine.call.record import put_record, record_of
from engine.config import Settings
from engine.providers.sealing import new_key
from engine.services import passwords
from engine.services.following import Following, Pace
from engine.store import Store, put_company
from engine.store.documents import USERS
from engine.store.sqlite import SqliteStore
from models import CallEvent, Company, Role, User, new_id
from models.user import PLATFORM
from tests.unit.api_client import PASSWORD, Site, Someone
from tests.unit.openapi_routes import Operation

MARKER = "zebra-7"
NOBODY, ADMIN = "nobody", "admin"
PACE = Pace(poll_s=0.01, longest_s=0.05)
"""A live call is followed for a moment: a stream that should not be there ends too."""


@dataclass
class Firm:
    """A company. `bearers`: who -> token or key. `ids`: path parameter -> everything it may name.

    `unique`: fields whose values no other company can have.
    """

    id: str
    bearers: dict[str, str]
    ids: dict[str, tuple[str, ...]]
    unique: dict[str, str]

    def first(self) -> dict[str, str]:
        """One value for each parameter that is known."""
        return {name: values[0] for name, values in self.ids.items()}

    def values(self, name: str) -> tuple[str, ...]:
        """What a parameter may name; for one that nobody has heard of, everything."""
        return self.ids.get(name) or tuple(one for values in self.ids.values() for one in values)

    def path(self, names: Iterable[str]) -> dict[str, str]:
        """A value for each of these parameters."""
        return {name: self.values(name)[0] for name in names}


VENDOR = "openai"


@dataclass
class World:
    """One installation in which `ours` looks for traces of `theirs`."""

    site: Site
    folder: Path
    ours: Firm
    theirs: Firm
    admin: str
    their_ids: frozenset[str]
    traces: frozenset[str]

    def bearers(self, firm: Firm) -> dict[str, str]:
        """Everybody who may ask, as seen by a firm."""
        return {NOBODY: "", **firm.bearers, ADMIN: self.admin}

    async def ask(
        self, bearer: str, operation: Operation, path: Mapping[str, str], **options: Any
    ) -> httpx.Response:
        """`path`: a value for each parameter. Redirects are not followed, errors are answers."""
        where = operation.path.format(**{name: quote(value, safe="") for name, value in path.items()})
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        return await self.site.client.request(
            operation.method, f"http://parley.test{where}", headers=headers, **options
        )

    def seen(self, response: httpx.Response, sent: Iterable[str]) -> list[str]:
        """Traces of theirs in an answer, besides what was sent."""
        text = f"{list(response.headers.items())} {response.content.decode(errors='replace')}".lower()
        for value in sorted(sent, key=len, reverse=True):
            text = text.replace(value.lower(), "")
        return sorted(trace for trace in self.traces if trace in text)

    def stored(self) -> list[tuple[Any, ...]]:
        """Every row and file of the installation that has to do with theirs."""
        files = [
            (str(path), path.read_bytes())
            for path in sorted(self.folder.rglob("*"))
            if path.is_file() and not path.name.startswith("parley.db")
        ]
        return [one for one in _rows(self.folder) + files if any(id in str(one) for id in self.their_ids)]


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    store = SqliteStore(folder / "parley.db")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "ROUNDS", 4)
        site = Site(store, Settings(_env_file=None, data_dir=folder, key_encryption_keys=new_key()))
        site.app.state.platform = replace(site.app.state.platform, following=Following(store, PACE))
        ours = await _firm(site, folder, "acorn-3", "+155501")
        theirs = await _firm(site, folder, MARKER, "+155502")  # later, so that its ids are above ours
        admin = await _admin(site)
        ids, traces = _traces(folder, theirs)
        yield World(site, folder, ours, theirs, admin, ids, traces)
        await site.client.aclose()
        await store.close()


async def _firm(site: Site, folder: Path, mark: str, numbers: str) -> Firm:
    """A company whose every text contains `mark`, and whose telephone numbers begin with `numbers`."""
    body = {"company": f"{mark} Ltd", "name": f"Ann {mark}", "email": f"ann@{mark}.example.com"}
    response = await site.client.post("/auth/register", json=body | {"password": PASSWORD})
    owner = site.someone(response.json())
    people = {role: await _colleague(site, owner, mark, role) for role in ("agent", "manager")}
    people["owner"] = owner
    bearers = {role: person.session["access_token"] for role, person in people.items()}

    async def made(path: str, method: str = "POST", **options: Any) -> Any:
        return await owner.made(method, owner.base + path, **options)

    await made("/users", json={"name": f"Invited {mark}", "email": f"invited@{mark}.example.com"})
    keys = []
    for role in ("agent", "manager"):
        key = await made("/api-keys", json={"name": f"{mark} {role}", "role": role})
        keys.append(key["key"]["id"])
        bearers[f"{role}'s key"] = key["secret"]
    fields = {"prompt": f"You speak for {mark}.", "variables": {"who": mark}}
    fields["phrases"] = {"greeting": f"Hello from {mark}."}
    published, draft = [
        (await made("/agents", json={"name": f"{mark} {name}"} | fields))["id"] for name in ("desk", "draft")
    ]
    await made(f"/agents/{published}/publish")
    number = await made("/numbers", json={"number": f"{numbers}00", "agent_id": published})
    name = f"{mark} prices.txt"
    document = await made(
        f"/documents/by-name/{name}", "PUT", content=f"A visit to {mark} costs 85 dollars.".encode()
    )
    await made(f"/provider-keys/{VENDOR}", "PUT", json={"key": f"key-of-{mark}"})
    calls: list[str] = []
    for status in ("ended", "live"):
        events = _journal(owner.company, published, mark, f"CA{status}{mark}", f"{numbers}99")
        calls += await _keep(site.store, folder, events if status == "ended" else events[:-1])
    return Firm(
        owner.company,
        bearers,
        {
            "company_id": (owner.company,),
            "agent_id": (published, draft),
            "number_id": (number["id"],),
            "document_id": (document["id"],),
            "user_id": tuple(person.user for person in people.values()),
            "key_id": tuple(keys),
            "call_id": tuple(calls),
            "vendor": (VENDOR,),
            "name": (name,),
            "number": (f"{numbers}99",),
        },
        {"number": f"{numbers}00", "email": body["email"]},
    )


async def _colleague(site: Site, owner: Someone, mark: str, role: str) -> Someone:
    body = {"name": f"{role} {mark}", "email": f"{role}@{mark}.example.com", "role": role}
    token = (await owner.made("POST", f"{owner.base}/users", json=body))["token"]
    response = await site.client.post("/auth/password/reset", json={"token": token, "password": PASSWORD})
    return site.someone(response.json())


def _journal(company: str, agent: str, mark: str, call_id: str, caller: str) -> list[CallEvent]:
    now = round(time.time() * 1000)
    told = {"turn": 1, "text": f"At {mark} it is 85.", "kind": "reply", "interrupted": False}
    stamps = {"speech_end": now + 1000.0, "first_byte": now + 1400.0}
    entries: list[tuple[str, dict[str, Any]]] = [
        ("call_started", {"agent_id": agent, "caller": caller, "called": f"{mark} line"}),
        ("turn_ended", {"turn": 1, "text": f"What is a visit to {mark}?"}),
        ("heard", told | {"stamps": stamps, "tokens": {"prompt": 40, "completion": 4}}),
        ("call_ended", {"reason": f"{mark} hung up"}),
    ]
    return [
        CallEvent(call_id=call_id, company_id=company, seq=seq, kind=kind, at_ms=now + 900 * seq, data=data)
        for seq, (kind, data) in enumerate(entries)
    ]


async def _keep(store: Store, folder: Path, events: list[CallEvent]) -> tuple[str, str]:
    """A call as the call's actor leaves it, with its recording; both names of it."""
    record = record_of(events)
    await store.append_events(events)
    await put_record(store, record)
    path = folder / "recordings" / record.company_id / f"{record.call_id}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(f"RIFF voices of {record.called}".encode())
    return record.id, record.call_id


async def _admin(site: Site) -> str:
    """As `parley users create-admin` makes one."""
    await put_company(site.store, Company(id=PLATFORM, name="Platform"))
    email, hashed = "root@example.com", await passwords.hash_password(PASSWORD)
    root = User(
        id=new_id("usr"), company_id=PLATFORM, email=email, name="Root", role=Role.ADMIN, password_hash=hashed
    )
    await site.store.documents.insert(USERS, root)
    response = await site.client.post("/auth/login", json={"email": email, "password": PASSWORD})
    return str(response.json()["session"]["access_token"])


def _rows(folder: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "parley.db")) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return [(table, *row) for table in sorted(tables) for row in db.execute(f"SELECT * FROM {table}")]


def _traces(folder: Path, firm: Firm) -> tuple[frozenset[str], frozenset[str]]:
    """The ids of all that is stored of a firm; and these with its mark, secrets and hashes, in lower case."""
    stored = [row for row in _rows(folder) if row[0] == "documents" and row[2] == firm.id]
    ids = {firm.id, *firm.ids["call_id"], *(row[3] for row in stored)}
    hashes = re.findall(r'"\w+_hash":"([^"]+)"', str(stored))
    traces = {MARKER, *ids, *hashes, *firm.bearers.values(), *firm.ids["number"], *firm.unique.values()}
    return frozenset(ids), frozenset(trace.lower() for trace in traces)

"""A company at the API: real store, real application, no cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from engine.api.app import Tenants, create_app
from engine.config import Settings
from engine.providers.base import Passage
from engine.store import Store
from models import CallKey

PASSWORD = "correct horse battery"


class NoCluster:
    """A backend with room for every call, until it is `full`; `alive` calls go on."""

    def __init__(self) -> None:
        self.wound_up: list[CallKey] = []
        self.full: str | None = None
        self.alive: set[CallKey] = set()

    async def capacity(self, company_id: str) -> str | None:
        return self.full

    async def live(self, call: CallKey) -> bool:
        return call in self.alive

    async def wind_up(self, call: CallKey) -> None:
        self.wound_up.append(call)

    async def metrics(self) -> str:
        return ""

    async def agent_for_number(self, number: str) -> tuple[str, str] | None:
        return None

    async def ready(self) -> Mapping[str, str | None]:
        return {}


class Library:
    """The knowledge application: keeps what it was asked, finds one passage of the company that asks."""

    def __init__(self) -> None:
        self.ingested: list[tuple[str, str]] = []
        self.forgotten: list[tuple[str, str]] = []

    async def ingest(self, company_id: str, document_id: str) -> None:
        self.ingested.append((company_id, document_id))

    async def forget(self, company_id: str, document_id: str) -> None:
        self.forgotten.append((company_id, document_id))

    async def search(self, company_id: str, query: str, limit: int) -> Sequence[Passage]:
        return [Passage(f"{company_id}: {query}", 0.5, "prices.pdf", 3, "doc_1")][:limit]


@dataclass
class Someone:
    """A client with a token; `base` is the path of its company."""

    client: httpx.AsyncClient
    company: str
    user: str
    session: dict[str, Any]

    @property
    def base(self) -> str:
        return f"/companies/{self.company}"

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.session['access_token']}"}
        return await self.client.request(method, path, headers=headers, **options)

    async def made(self, method: str, path: str, **options: Any) -> Any:
        """The answer of a request that must go well."""
        response = await self.ask(method, path, **options)
        assert response.is_success, (response.status_code, response.text)
        return response.json() if response.content else None


class Site:
    """One installation, spoken to over HTTP."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.knowledge = Library()
        self.cluster = NoCluster()
        self.app = create_app(self.cluster, settings, Tenants(store, self.knowledge))
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://parley.test/api/v1")

    async def register(self, name: str) -> Someone:
        """A company and its owner."""
        body = {"company": name, "name": "Ann", "email": f"ann@{name}.example.com", "password": PASSWORD}
        response = await self.client.post("/auth/register", json=body)
        assert response.status_code == 201, response.text
        return self.someone(response.json())

    async def invite(self, owner: Someone, role: str) -> Someone:
        """A colleague who accepted."""
        body = {"email": f"{role}@{owner.company}.example.com".replace("_", "-"), "name": role, "role": role}
        token = (await owner.made("POST", f"{owner.base}/users", json=body))["token"]
        response = await self.client.post("/auth/password/reset", json={"token": token, "password": PASSWORD})
        assert response.status_code == 200, response.text
        return self.someone(response.json())

    def someone(self, signed_in: dict[str, Any]) -> Someone:
        user = signed_in["user"]
        return Someone(self.client, user["company_id"], user["id"], signed_in["session"])

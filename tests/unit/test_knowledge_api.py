"""Documents and search over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.services import knowledge
from tests.unit.api_client import Site


async def test_a_document_is_kept_and_replaced_by_its_name(site: Site, tmp_path: Path) -> None:
    owner = await site.register("acme")
    where = f"{owner.base}/documents/by-name/Prices 2026 – Zürich.txt"
    first = await owner.made("PUT", where, content=b"A cleaning costs 85 dollars.")
    assert (first["name"], first["status"], first["size_bytes"]) == (
        "Prices 2026 – Zürich.txt",
        "waiting",
        28,
    )
    second = await owner.made("PUT", where, content=b"It costs 90.")
    assert (second["id"], second["version"], second["size_bytes"]) == (first["id"], 2, 12)
    assert (tmp_path / "uploads" / owner.company / first["id"]).read_bytes() == b"It costs 90."
    assert site.knowledge.ingested == [(owner.company, first["id"])] * 2
    await owner.made("POST", f"{owner.base}/documents/{first['id']}/reprocess")
    assert len(site.knowledge.ingested) == 3
    await owner.made("DELETE", f"{owner.base}/documents/{first['id']}")
    assert site.knowledge.forgotten == [(owner.company, first["id"])]
    assert (await owner.made("GET", f"{owner.base}/documents"))["items"] == []
    assert list((tmp_path / "uploads" / owner.company).iterdir()) == []


@pytest.mark.parametrize("name", ["prices.exe", "prices", ".txt", "a%00b.txt", "x" * 200 + ".txt"])
async def test_a_name_that_cannot_be_read_is_refused(site: Site, name: str) -> None:
    owner = await site.register("acme")
    response = await owner.ask("PUT", f"{owner.base}/documents/by-name/{name}", content=b"x")
    assert response.status_code == 422


async def test_too_much_is_refused_and_leaves_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(knowledge, "LARGEST", 1000)
    owner = await site.register("acme")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100

    where = f"{owner.base}/documents/by-name/a.txt"
    for content, status in ((endless(), 413), (b"", 422)):
        assert (await owner.ask("PUT", where, content=content)).status_code == status
    assert list((tmp_path / "uploads" / owner.company).iterdir()) == []
    assert (await owner.made("GET", f"{owner.base}/documents"))["items"] == []


async def test_a_search_stays_in_its_company(site: Site) -> None:
    owner, stranger = await site.register("acme"), await site.register("other")
    (found,) = (await owner.made("POST", f"{owner.base}/search", json={"query": "prices"}))["items"]
    assert (found["text"], found["page"]) == (f"{owner.company}: prices", 3)
    assert (await stranger.ask("POST", f"{owner.base}/search", json={"query": "x"})).status_code == 404
    document = await owner.made("PUT", f"{owner.base}/documents/by-name/a.txt", content=b"x")
    for base in (owner.base, stranger.base):
        where = f"{base}/documents/{document['id']}"
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/reprocess")):
            assert (await stranger.ask(method, where + path)).status_code == 404
    reader = await site.invite(owner, "agent")
    assert (await reader.ask("DELETE", f"{owner.base}/documents/{document['id']}")).status_code == 403

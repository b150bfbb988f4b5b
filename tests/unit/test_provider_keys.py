"""Companies' own vendor keys: sealed where they are kept, never shown, and renewable."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.config import Settings
from engine.errors import ConfigurationError
from engine.providers.sealing import Sealer, new_key
from engine.services.provider_keys import renew_all
from engine.store import Page, Store
from engine.store.documents import PROVIDER_KEYS
from tests.unit.api_client import Site

SECRET = "gsk_0123456789abcdef"


def sealing(tmp_path: Path, *keys: str) -> Settings:
    return Settings(_env_file=None, data_dir=tmp_path, key_encryption_keys=",".join(keys) or None)


async def test_a_key_goes_in_and_never_comes_out(store: Store, site: Site, tmp_path: Path) -> None:
    here = Site(store, sealing(tmp_path, new_key()))
    owner = await here.register("acme")
    where = f"{owner.base}/provider-keys"
    put = await owner.made("PUT", f"{where}/groq", json={"key": SECRET})
    assert (put["vendor"], put["hint"]) == ("groq", "cdef")
    replaced = await owner.made("PUT", f"{where}/groq", json={"key": SECRET[::-1]})
    assert (replaced["hint"], replaced["version"]) == ("_ksg", put["version"] + 1)
    (listed,) = (await owner.made("GET", where))["items"]
    assert SECRET[::-1] not in str(listed)
    (kept,) = await store.documents.find(PROVIDER_KEYS, owner.company, {}, Page())
    assert SECRET[:-4] not in kept.model_dump_json()
    agent = {"name": "Front desk", "providers": {"llm": ["local", "groq"]}}
    await owner.made("POST", f"{owner.base}/agents", json=agent)
    await owner.made("DELETE", f"{where}/groq")
    assert (await owner.ask("DELETE", f"{where}/groq")).status_code == 404
    assert (await owner.ask("POST", f"{owner.base}/agents", json=agent)).status_code == 422


async def test_what_is_wrong_is_said(site: Site) -> None:
    owner = await site.register("acme")
    where = f"{owner.base}/provider-keys"
    unsealed = await owner.ask("PUT", f"{where}/groq", json={"key": SECRET})
    assert unsealed.status_code == 503
    assert "PARLEY_KEY_ENCRYPTION_KEYS" in unsealed.json()["detail"]
    assert (await owner.ask("PUT", f"{where}/nobody", json={"key": SECRET})).status_code == 404
    for key in ("", "short", "with space in it", "x" * 501, "schlüssel-lang"):
        assert (await owner.ask("PUT", f"{where}/groq", json={"key": key})).status_code == 422
    manager = await site.invite(owner, "manager")
    assert (await manager.ask("GET", where)).status_code == 403


async def test_encryption_keys_are_rotated(store: Store, site: Site, tmp_path: Path) -> None:
    old, new = new_key(), new_key()
    before = Site(store, sealing(tmp_path, old))
    owner = await before.register("acme")
    await owner.made("PUT", f"{owner.base}/provider-keys/openai", json={"key": SECRET})
    assert await renew_all(store, sealing(tmp_path, new, old)) == (1, 0)
    assert await renew_all(store, sealing(tmp_path, new_key())) == (0, 1)
    (kept,) = await store.documents.find(PROVIDER_KEYS, owner.company, {}, Page())
    assert Sealer(sealing(tmp_path, new)).open(kept.sealed) == SECRET
    with pytest.raises(ConfigurationError, match="put that one back"):
        Sealer(sealing(tmp_path, old)).open(kept.sealed)


def test_a_wrong_encryption_key_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="new-encryption-key"):
        Sealer(sealing(tmp_path, "not a key"))
    with pytest.raises(ConfigurationError, match="PARLEY_KEY_ENCRYPTION_KEYS"):
        Sealer(sealing(tmp_path)).seal(SECRET)

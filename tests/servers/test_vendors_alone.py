"""A server on (simulated) vendors alone: no local model is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import demo
from engine.cli.server_process import ServerProcess
from engine.config import Settings
from engine.providers.sealing import Sealer, new_key
from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity
from engine.store import put_company
from engine.store.documents import PROVIDER_KEYS
from engine.store.sqlite import SqliteStore
from engine.telephony.tokens import MediaClaims, local_url, media_url
from models import Company, ProviderKey, new_id
from tests.cluster.site import eventually
from tests.cluster.talk import Answer, ask, greeted
from tests.cluster.vendors import running_vendors
from tests.tour import ROOT
from tests.vendors.openai_embeddings import OpenAiEmbeddings
from tests.vendors.simulator import VendorSimulator

REPLY = "A cleaning costs eighty five dollars."


@pytest.fixture
def server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Settings, ServerProcess, list[str]]]:
    embeddings: VendorSimulator = OpenAiEmbeddings()
    with running_vendors() as vendors, embeddings.in_thread() as url:
        for stt in (vendors.stt_groq, vendors.stt_openai):
            stt.text = "How much does a cleaning cost?"
        for llm in (vendors.llm_groq, vendors.llm_openai):
            llm.reply = REPLY
        environ = dict(vendors.environ)
        options = json.loads(environ["PARLEY_PROVIDER_OPTIONS"])
        environ["PARLEY_PROVIDER_OPTIONS"] = json.dumps(
            options | {"embeddings:openai": {"base_url": f"{url}/v1"}}
        )
        environ |= {
            "PARLEY_STT_PROVIDER": "groq,openai",
            "PARLEY_LLM_PROVIDER": "groq,openai",
            "PARLEY_TTS_PROVIDER": "elevenlabs,openai",
            "PARLEY_EMBEDDINGS_PROVIDER": "openai",
            "PARLEY_TURN_MODEL": "none",
            "PARLEY_KEY_ENCRYPTION_KEYS": new_key(),
        }
        for name, value in environ.items():
            monkeypatch.setenv(name, value)
        settings = Settings(data_dir=tmp_path / "data", models_dir=_only_vad(tmp_path))
        process = ServerProcess(settings, config=ROOT / "serve_config.yaml")
        try:
            apps: list[str] = []
            for event in process.wait_until_ready():
                apps = event.get("apps", apps)
            yield settings, process, apps
        finally:
            process.stop()


def _only_vad(tmp_path: Path) -> Path:
    """A folder of weights with nothing in it but the edge's voice activity detector."""
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "silero-vad").symlink_to(Settings().models_dir / "silero-vad")
    return folder


async def call(settings: Settings, company: str) -> tuple[Answer, str]:
    """The answer to a question, and the call's id."""
    identity = CallIdentity()
    claims = MediaClaims(company, "demo", identity.call_sid, events=True)
    url = media_url(settings, claims, base_url=local_url(settings))
    async with Caller.dial(url, Line(identity=identity)) as caller:
        await greeted(caller)
        return await ask(caller, "demo-cleaning"), identity.call_sid


async def turn(store: SqliteStore, company: str, call_id: str) -> dict[str, Any]:
    """The timeline of the one answer."""

    async def heard() -> list[dict[str, Any]]:
        events = await store.events(company, call_id)
        return [event.data for event in events if event.kind == "heard" and event.data["turn"]]

    (found,) = await eventually(heard, 10.0, "the answer is in the journal")
    return found


async def test_a_call_on_vendors_alone(server: tuple[Settings, ServerProcess, list[str]]) -> None:
    settings, _, apps = server
    assert sorted(apps) == ["api", "knowledge", "media"]
    store = SqliteStore(settings.data_dir / "parley.db")
    # What simulated vectors find is chance: any passage will do.
    anything = demo.agent().model_copy(update={"min_score": -1.0})
    await store.publish_agent(anything)
    answer, _ = await call(settings, "demo")
    assert answer.done
    assert answer.kinds == ["reply"]
    assert answer.text == REPLY
    assert answer.audio

    # A company with a key of its own, which the vendor refuses: it is used, and refused to nobody else.
    await put_company(store, Company(id="own", name="Own"))
    await store.publish_agent(anything.model_copy(update={"company_id": "own"}))
    sealed = Sealer(settings).seal("a-key-of-their-own")
    key = ProviderKey(id=new_id("pvk"), company_id="own", vendor="groq", sealed=sealed, hint="")
    await store.documents.insert(PROVIDER_KEYS, key)
    for _ in range(2):
        _, theirs = await call(settings, "own")
        assert (await turn(store, "own", theirs))["served"]["stt"].startswith("openai/")
        _, ours = await call(settings, "demo")
        assert (await turn(store, "demo", ours))["served"]["stt"].startswith("groq/")
    await store.close()

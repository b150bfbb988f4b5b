"""A server on (simulated) vendors alone: no local model is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import demo
from engine.cli.server_process import ServerProcess
from engine.config import Settings
from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity
from engine.store.sqlite import SqliteStore
from engine.telephony.tokens import MediaClaims, local_url, media_url
from tests.cluster.talk import ask, greeted
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
        vendors.stt_groq.text = "How much does a cleaning cost?"
        vendors.llm_groq.reply = REPLY
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


async def test_a_call_on_vendors_alone(server: tuple[Settings, ServerProcess, list[str]]) -> None:
    settings, _, apps = server
    assert sorted(apps) == ["api", "knowledge", "media"]
    store = SqliteStore(settings.data_dir / "parley.db")
    # What simulated vectors find is chance: any passage will do.
    await store.publish_agent(demo.agent().model_copy(update={"min_score": -1.0}))
    await store.close()
    identity = CallIdentity()
    claims = MediaClaims("demo", "demo", identity.call_sid, events=True)
    url = media_url(settings, claims, base_url=local_url(settings))
    async with Caller.dial(url, Line(identity=identity)) as caller:
        await greeted(caller)
        answer = await ask(caller, "demo-cleaning")
    assert answer.done
    assert answer.kinds == ["reply"]
    assert answer.text == REPLY
    assert answer.audio

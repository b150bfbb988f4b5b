"""A call in French, on a server with the multilingual starter Whisper."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from engine import demo
from engine.audio.wav import read_wav
from engine.cli.server_process import ServerProcess
from engine.config import Settings
from engine.simulator.caller import Caller, Line
from engine.simulator.carrier import CallIdentity
from engine.simulator.events import UserTurn
from engine.store.sqlite import SqliteStore
from engine.telephony.tokens import MediaClaims, local_url, media_url
from tests.cluster.talk import ANSWER_S, greeted
from tests.tour import ROOT

FRENCH = ROOT / "tests" / "data" / "french.wav"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Settings]:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    for app in config["applications"]:
        if app["name"] == "stt":
            app["args"] = {"weights": "whisper-base"}
    path = tmp_path / "serve_config.yaml"
    path.write_text(yaml.safe_dump(config))
    settings = Settings(data_dir=tmp_path / "data")
    process = ServerProcess(settings, config=path)
    try:
        for _ in process.wait_until_ready():
            pass
        yield settings
    finally:
        process.stop()


async def test_a_question_in_french_is_understood(server: Settings) -> None:
    store = SqliteStore(server.data_dir / "parley.db")
    for language in ("fr", "auto"):
        agent = demo.agent()
        phrases = agent.phrases.model_copy(update={"greeting": "Bonjour.", "unknown": "Je ne sais pas."})
        update = {"id": language, "language": language, "phrases": phrases}
        await store.publish_agent(agent.model_copy(update=update))
        identity = CallIdentity()
        claims = MediaClaims("demo", language, identity.call_sid, events=True)
        url = media_url(server, claims, base_url=local_url(server))
        async with Caller.dial(url, Line(identity=identity)) as caller:
            await greeted(caller)
            await caller.say(read_wav(FRENCH).pcm)
            assert await caller.agent_done(ANSWER_S)
            heard = " ".join(event.text for event in caller.events if isinstance(event, UserTurn))
        assert "ouvrez-vous le samedi matin" in heard
        (turn,) = [
            event for event in await store.events("demo", identity.call_sid) if event.kind == "turn_ended"
        ]
        assert turn.data["language"] == "fr"
    await store.close()

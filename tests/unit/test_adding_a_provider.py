"""docs/adding-a-provider.md is true: what it shows is run, against a vendor as it describes."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from engine.audio.g711 import pcm_to_ulaw
from engine.errors import ConfigurationError, ProviderRefusesUs, ProviderUnavailable
from engine.providers import registry
from engine.providers.base import SpeechRequest
from engine.providers.tts.vendor import VendorTts
from tests.vendors.simulator import KEY, Fault, VendorSimulator

PAGE = Path(__file__).parents[2] / "docs" / "adding-a-provider.md"


class Example(VendorSimulator):
    """The vendor of the page."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[dict[str, object]] = []

    def routes(self) -> Iterator[BaseRoute]:
        yield Route("/v1/speech", self._speech, methods=["POST"])
        yield Route("/v1/voices", self._voices)

    async def _speech(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.key}":
            return self.error(401, "no such key")
        self.asked.append(await request.json())
        tone = (8_000 * np.sin(np.arange(8_000) * 0.2)).astype(np.int16)
        return Response(pcm_to_ulaw(tone), media_type="audio/basic")

    async def _voices(self, request: Request) -> Response:
        return JSONResponse({"voices": [{"id": "anna", "name": "Anna"}]})


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch) -> registry.Entry:
    """The page's module and entry, in their places for the time of a test."""
    module, entry = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    place = "engine.providers.tts.example"
    loaded = ModuleType(place)
    exec(compile(module, str(PAGE), "exec"), loaded.__dict__)
    monkeypatch.setitem(sys.modules, place, loaded)
    names: dict[str, registry.Entry] = {}
    exec(compile(entry, str(PAGE), "exec"), names)
    monkeypatch.setitem(registry._BY_NAME, ("tts", "example"), names["ENTRY"])
    return names["ENTRY"]


async def test_the_pages_vendor_speaks(entry: registry.Entry) -> None:
    vendor = Example()
    async with vendor.serving() as url:
        client = registry.create("tts", "example", api_key=KEY, base_url=url, extra={"warmth": 1})
        assert isinstance(client, VendorTts)
        speech = await client.synthesise(SpeechRequest("Hello there.", voice="example:bert"))
        assert len(speech.audio) > 7_000
        assert (speech.served_by, speech.voice) == ("example/talker-2", "bert")
        assert vendor.asked[0]["warmth"] == 1
        assert (await client.check()).ok
        vendor.fault = Fault.DIES
        with pytest.raises(ProviderUnavailable):
            await client.synthesise(SpeechRequest("Hello there."))
        await client.close()
        stranger = registry.create("tts", "example", api_key="wrong-key", base_url=url)
        vendor.fault = None
        assert isinstance(stranger, VendorTts)
        with pytest.raises(ProviderRefusesUs):
            await stranger.synthesise(SpeechRequest("Hello there."))
        await stranger.close()


def test_what_is_missing_is_said(entry: registry.Entry) -> None:
    with pytest.raises(ConfigurationError, match="set PARLEY_EXAMPLE_API_KEY"):
        registry.create("tts", "example")
    with pytest.raises(ConfigurationError, match="its options: warmth"):
        registry.create("tts", "example", api_key=KEY, extra={"cold": 1})
    with pytest.raises(ConfigurationError, match="unexpected keyword argument"):
        registry.create("tts", "example", api_key=KEY, colour="red")

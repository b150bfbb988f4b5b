"""The registry: what there is, and one clear line for what is not."""

from __future__ import annotations

import builtins
import sys
from typing import Any

import pytest

from engine.errors import ConfigurationError
from engine.providers import registry
from engine.providers.vendor import Vendor


def test_there_is_nothing_of_that_name() -> None:
    for kind, name, line in (
        ("tts", "elevenlab", "did you mean elevenlabs?"),
        ("stt", "nobody", "there are local, groq, openai, deepgram, assemblyai"),
        ("video", "openai", "there is no kind 'video'"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            registry.entry(kind, name)
        assert line in str(caught.value)


@pytest.mark.parametrize("each", [one for one in registry.ENTRIES if not one.local], ids=str)
async def test_every_entry_leads_to_its_vendor(each: registry.Entry) -> None:
    with pytest.raises(ConfigurationError, match=f"set {each.variable}"):
        registry.create(each.kind, each.name)
    extra = {"region": "westeurope"} if each.name == "azure" else {}
    vendor = registry.create(each.kind, each.name, api_key="k", extra=extra)
    assert isinstance(vendor, Vendor)
    assert vendor.name == each.name
    await vendor.close()


@pytest.mark.parametrize("each", [one for one in registry.ENTRIES if one.needs], ids=str)
def test_a_missing_package_is_one_line(each: registry.Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = each.needs.split(".")[0]
    for name in [name for name in sys.modules if name == needed or name.startswith(f"{needed}.")]:
        monkeypatch.delitem(sys.modules, name)
    module = f"engine.providers.{each.kind}.{each.target.partition(':')[0]}"
    monkeypatch.delitem(sys.modules, module, raising=False)
    really = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == needed or name.startswith(f"{needed}."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return really(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install 'parley\[cloud\]'"):
        registry.create(each.kind, each.name, api_key="k")

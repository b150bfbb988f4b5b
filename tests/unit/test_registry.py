"""Providers by name: what there is, and what is said to whoever asks for something else."""

from __future__ import annotations

import difflib
import importlib.util

import pytest

from engine.errors import ConfigurationError
from engine.providers import registry
from engine.providers.embeddings.vendor import VendorEmbedder
from engine.providers.registry import ENTRIES, KINDS, LOCAL, Entry, create, entry, register
from engine.providers.stt.live import LiveStt
from engine.providers.vendor import Vendor

NAMES = {
    "stt": "local groq openai deepgram assemblyai",
    "llm": "local groq openai anthropic gemini",
    "tts": "local elevenlabs openai google azure",
    "embeddings": "local gemini openai voyage cohere",
}


@pytest.fixture(autouse=True)
def _forget_what_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_BY_NAME", dict(registry._BY_NAME))


def test_the_providers_that_there_are() -> None:
    assert set(KINDS) == set(NAMES)
    for kind, names in NAMES.items():
        assert [each.name for each in ENTRIES if each.kind == kind] == names.split()


def test_a_vendor_is_found_and_says_where_its_key_is() -> None:
    voyage = entry("embeddings", "voyage")
    assert (voyage.kind, voyage.name, voyage.local) == ("embeddings", "voyage", False)
    assert voyage.variable == "PARLEY_VOYAGE_API_KEY"
    assert entry("tts", "azure").variable == "PARLEY_AZURE_SPEECH_KEY"
    assert all(entry(kind, LOCAL).local for kind in KINDS)


def test_each_vendor_has_a_key_and_a_class_of_its_own() -> None:
    vendors = [each for each in ENTRIES if not each.local]
    assert all(each.key for each in vendors)
    assert all(each.installed for each in vendors if not each.needs)
    assert len({(each.kind, each.target) for each in vendors}) == len(vendors)


@pytest.mark.parametrize("each", [each for each in ENTRIES if not each.local], ids=str)
async def test_every_entry_leads_to_its_vendor(each: Entry) -> None:
    extra = {"region": "westeurope"} if each.name == "azure" else {}
    vendor = create(each.kind, each.name, api_key="key", extra=extra)
    assert isinstance(vendor, Vendor)
    assert vendor.name == each.name
    assert each.live == isinstance(vendor, LiveStt), "it would not hear callers while they speak"
    await vendor.close()


def test_an_unknown_kind_names_the_kinds() -> None:
    with pytest.raises(ConfigurationError, match=r"'vision'.*stt, llm, tts, embeddings"):
        entry("vision", "openai")


def test_an_unknown_name_is_put_right() -> None:
    with pytest.raises(ConfigurationError, match=r"'elevenlab': did you mean elevenlabs\? there are local,"):
        entry("tts", "elevenlab")
    with pytest.raises(ConfigurationError) as caught:
        entry("embeddings", "xyz")
    assert not difflib.get_close_matches("xyz", NAMES["embeddings"].split())
    assert str(caught.value).endswith("there are local, gemini, openai, voyage, cohere")
    assert "did you mean" not in str(caught.value)


def test_a_name_of_another_kind_is_unknown() -> None:
    with pytest.raises(ConfigurationError, match="no llm provider 'voyage'"):
        entry("llm", "voyage")


@pytest.mark.parametrize("each", [each for each in ENTRIES if each.needs], ids=str)
def test_a_vendor_whose_package_is_missing_is_not_loaded(
    each: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == each.needs else really(name, *rest)
    )
    with pytest.raises(ConfigurationError, match=rf"{each.name} needs .*pip install 'parley\[cloud\]'"):
        create(each.kind, each.name, api_key="key")


@pytest.mark.parametrize("key", ["", None])
def test_a_missing_key_names_the_variable(key: str | None) -> None:
    with pytest.raises(ConfigurationError, match="cohere needs a key: set PARLEY_COHERE_API_KEY"):
        create("embeddings", "cohere", api_key=key)
    with pytest.raises(ConfigurationError, match="PARLEY_COHERE_API_KEY"):
        create("embeddings", "cohere")


@pytest.mark.parametrize("package", ["no_such_package", "no_such_package.inside", "google.no_such_package"])
def test_a_missing_package_is_one_line_with_the_extra(package: str) -> None:
    """Also one whose namespace is there, as Google's is wherever protobuf is installed."""
    lacking = Entry("embeddings", "lacking", "voyage:VoyageEmbedder", "lacking_api_key", package)
    assert not lacking.installed
    register(lacking)
    with pytest.raises(ConfigurationError) as caught:
        create("embeddings", "lacking", api_key="key")
    assert str(caught.value) == f"lacking needs {package}: pip install 'parley[cloud]'"


def test_a_module_that_fails_on_its_own_account_is_not_called_a_missing_package() -> None:
    register(Entry("embeddings", "broken", "no.such.module:Class", "broken_api_key"))
    with pytest.raises(ModuleNotFoundError, match="no"):
        create("embeddings", "broken", api_key="key")


def test_a_wrong_option_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="no option 'modell': there are api_key, base_url, model"):
        create("embeddings", "voyage", api_key="key", modell="voyage-4")
    with pytest.raises(ConfigurationError, match="voyage has no option 'size'; its options: dimension"):
        create("embeddings", "voyage", api_key="key", extra={"size": 8})


def test_local_providers_are_deployments() -> None:
    with pytest.raises(ConfigurationError, match=r"serve_config\.yaml"):
        create("llm", LOCAL)


async def test_a_vendor_is_created_with_its_options() -> None:
    vendor = create("embeddings", "voyage", api_key="key", model="voyage-4", extra={"dimension": 256})
    assert isinstance(vendor, VendorEmbedder)
    assert vendor.space == "voyage/voyage-4/256"
    await vendor.close()


async def test_one_that_is_registered_is_like_the_others() -> None:
    target = "engine.providers.embeddings.voyage:VoyageEmbedder"
    register(Entry("embeddings", "mine", target, "mine_api_key"))
    vendor = create("embeddings", "mine", api_key="key")
    assert isinstance(vendor, VendorEmbedder)
    await vendor.close()
    with pytest.raises(ConfigurationError, match=r"did you mean mine\?.*local, .*cohere, mine"):
        entry("embeddings", "mime")


def test_a_name_has_one_vendor() -> None:
    again = entry("embeddings", "voyage")
    register(again)
    with pytest.raises(ConfigurationError, match="another embeddings provider 'voyage'"):
        register(Entry("embeddings", "voyage", "my.module:Mine"))
    assert entry("embeddings", "voyage") is again

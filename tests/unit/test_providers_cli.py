"""`parley providers` and the same in the API, against simulated vendors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.cli import main
from engine.config import Settings, settings
from engine.errors import ConfigurationError
from engine.providers import installation, status
from engine.store.sqlite import SqliteStore
from tests.unit.api_client import Site
from tests.vendors.openai_chat import OpenAiChat
from tests.vendors.simulator import KEY, Fault

NAMED = {
    "stt": ["local", "groq", "openai", "deepgram", "assemblyai"],
    "llm": ["local", "groq", "openai", "anthropic", "gemini"],
    "tts": ["local", "elevenlabs", "openai", "google", "azure"],
    "embeddings": ["local", "gemini", "openai", "voyage", "cohere"],
}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, **environ: str) -> Result:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    result = CliRunner().invoke(main, ["providers", *arguments])
    settings.cache_clear()
    return result


def test_all_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, "list", "--json", PARLEY_STT_PROVIDER="local,groq", PARLEY_GROQ_API_KEY="k")
    listed = json.loads(result.output)
    assert [(one["kind"], one["name"]) for one in listed] == [
        (kind, name) for kind, names in NAMED.items() for name in names
    ]
    places = {(one["kind"], one["name"]): (one["place"], one["missing"]) for one in listed}
    assert places["stt", "groq"] == (2, [])
    assert places["stt", "deepgram"] == (None, ["PARLEY_DEEPGRAM_API_KEY"])
    assert "groq" in run(monkeypatch, "list").output


def test_vendors_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    vendor = OpenAiChat()
    with vendor.in_thread() as url:
        environ = {
            "PARLEY_OPENAI_API_KEY": KEY,
            "PARLEY_PROVIDER_OPTIONS": json.dumps({"llm:openai": {"base_url": f"{url}/v1"}}),
        }
        result = run(monkeypatch, "check", "--kind", "llm", "--json", **environ)
        (checked,) = json.loads(result.output)
        assert (result.exit_code, checked["ok"], checked["name"]) == (0, True, "openai")
        vendor.fault = Fault.UNAUTHORISED
        result = run(monkeypatch, "check", "--kind", "llm", **environ)
        assert result.exit_code == 1
        assert "401" in result.output
        result = run(monkeypatch, "check", "--kind", "llm", "anthropic", "--json", **environ)
        (checked,) = json.loads(result.output)
        assert (checked["ok"], checked["detail"]) == (
            False,
            "anthropic needs a key: set PARLEY_ANTHROPIC_API_KEY",
        )
    assert "no provider" in run(monkeypatch, "check", "nobody").stderr


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"stt_provider": "local,grok"}, "there is no stt provider 'grok': did you mean groq?"),
        ({"stt_provider": "groq"}, "groq needs a key: set PARLEY_GROQ_API_KEY"),
        ({"stt_provider": "local,local"}, "names a provider twice"),
        ({"stt_provider": " , "}, "PARLEY_STT_PROVIDER is empty"),
        ({"embeddings_provider": "local,openai"}, "takes one provider"),
        ({"provider_options": {"llm:local": {"model": "x"}}}, "serve_config.yaml"),
        ({"provider_options": {"llm:nobody": {}}}, "there is no llm provider 'nobody'"),
    ],
)
def test_wrong_chains_are_one_clear_line(options: dict[str, object], line: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        installation.check(Settings(_env_file=None, **options))  # type: ignore[arg-type]
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_the_same_in_the_api_for_operators(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "parley.db")
    site = Site(store, Settings(_env_file=None, data_dir=tmp_path))
    owner = await site.register("acme")
    assert (await owner.ask("GET", "/providers")).status_code == 403
    assert (await owner.ask("POST", "/providers/check")).status_code == 403
    assert len(status.providers(site.app.state.platform.settings)) == 20
    await store.close()

"""Settings that would do something else than was meant are refused in one line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from engine.config import Settings, refuse_misspelt
from engine.errors import ConfigurationError


@pytest.mark.parametrize("name", ["public_url", "qdrant_url"])
@pytest.mark.parametrize("url", ["voice.example.com", "ftp://voice.example.com", "https://", " "])
def test_a_url_has_a_scheme_and_a_host(name: str, url: str) -> None:
    with pytest.raises(ValidationError, match=f"PARLEY_{name.upper()} must begin with https://"):
        Settings(**{name: url})  # type: ignore[arg-type]
    assert Settings(public_url="https://voice.example.com").public_url == "https://voice.example.com"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("PARLEY_MAXCALLS", "PARLEY_MAX_CALLS"),
        ("PARLEY_WARM_CALL", "PARLEY_WARM_CALLS"),
        ("PARLEY_TWILIO_AUTHTOKEN", "PARLEY_TWILIO_AUTH_TOKEN"),
        ("PARLEY_ENVIROMENT", "PARLEY_ENVIRONMENT"),
    ],
)
def test_a_misspelt_setting_is_refused(name: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is no setting: did you mean {meant}"):
        refuse_misspelt([name])


def test_what_is_not_ours_is_left_alone() -> None:
    refuse_misspelt(
        [
            "PARLEY_PORT",
            "PARLEY_PORT_8000_TCP_ADDR",
            "PARLEY_SERVICE_HOST",
            "PARLEY_NUM_CPUS",
            "PARLEY_E",
            "HOME",
        ]
    )

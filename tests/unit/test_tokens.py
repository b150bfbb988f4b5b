"""Media tokens: what they carry, and everything that is refused."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.config import Settings
from engine.errors import TokenRefused
from engine.telephony.tokens import (
    AUDIENCE,
    ISSUER,
    LEEWAY_S,
    MediaClaims,
    issue,
    local_url,
    media_url,
    new_call_id,
    verify,
)

SECRET = "s" * 64
CLAIMS = MediaClaims("acme", "front-desk", "CA1", "id-1", True, "+15550100", "+15550199", True)


def payload(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    base = {"iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 60, "jti": "i", "company": "c"}
    merged = base | {"agent": "a", "call": "k"} | changes
    return {name: value for name, value in merged.items() if value is not None}


def signed(**changes: Any) -> str:
    return jwt.encode(payload(**changes), SECRET, algorithm="HS256")


def test_what_is_issued_is_verified() -> None:
    before = time.time()
    claims = verify(issue(CLAIMS, SECRET, 60), SECRET)
    assert before + 60 <= claims.expires_at <= time.time() + 62 + LEEWAY_S
    named = ("company_id", "agent_id", "call_id", "token_id", "events", "caller", "called", "record")
    assert [getattr(claims, name) for name in named] == [getattr(CLAIMS, name) for name in named]


def test_defaults_are_modest_and_ids_fresh() -> None:
    first, second = (MediaClaims("acme", "front-desk", new_call_id()) for _ in range(2))
    assert first.token_id != second.token_id
    assert first.call_id != second.call_id
    claims = verify(issue(first, SECRET, 60), SECRET)
    assert (claims.events, claims.record, claims.caller, claims.called) == (False, False, "", "")


def test_a_hand_made_token_of_the_right_form_passes() -> None:
    assert verify(signed(), SECRET).company_id == "c"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b.c",
        "x" * 5_000,
        "\ud800.\ud800.\ud800",
        jwt.encode(payload(), "t" * 64, algorithm="HS256"),
        jwt.encode(payload(), SECRET, algorithm="HS512"),
        jwt.encode(payload(), "", algorithm=None),
        signed(exp=int(time.time()) - LEEWAY_S - 1),
        signed(iat=int(time.time()) + 3_600),
        *(signed(**{name: None}) for name in ("iss", "aud", "exp", "iat", "jti", "company", "agent", "call")),
        signed(iss="other"),
        signed(aud="parley-session"),
        signed(company=["c"]),
        signed(agent=""),
        signed(call="k" * 200),
        signed(caller=7),
        issue(CLAIMS, SECRET, -60),
        issue(CLAIMS, SECRET, 60)[:-2],
    ],
)
def test_refused(token: str) -> None:
    with pytest.raises(TokenRefused) as caught:
        verify(token, SECRET)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", ["true", 1, "yes"])
def test_a_flag_is_true_only_when_it_is_true(value: Any) -> None:
    assert verify(signed(events=value), SECRET).events is False


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda raw: f"{raw.hex()}.{raw.hex()}.{raw.hex()}"))
def test_any_text_is_refused(token: str) -> None:
    with pytest.raises(TokenRefused):
        verify(token, SECRET)


@pytest.mark.parametrize(
    ("base", "public", "expected"),
    [
        (None, None, "ws://127.0.0.1:8000/media/"),
        (None, "https://voice.example.com/", "wss://voice.example.com/media/"),
        ("http://localhost:9000", "https://voice.example.com", "ws://localhost:9000/media/"),
        ("wss://other.example.com", None, "wss://other.example.com/media/"),
    ],
)
def test_media_url(tmp_path: Path, base: str | None, public: str | None, expected: str) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path, public_url=public)
    url = media_url(settings, CLAIMS, base_url=base)
    assert url.startswith(expected)
    token = url.removeprefix(expected)
    assert "/" not in token
    assert verify(token, settings.signing_secret()).call_id == "CA1"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
    ],
)
def test_local_url(host: str, expected: str) -> None:
    assert local_url(Settings(_env_file=None, host=host)) == expected


def test_the_module_is_light() -> None:
    code = (
        "import sys, engine.telephony.tokens\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(*sorted({'ray', 'pydantic', 'fastapi', 'numpy'} & loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.strip() == ""

"""The HTTP API over an in-memory installation: webhooks, talk sessions, problems, the access log."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import httpx
import pytest
from starlette.requests import HTTPConnection

from engine.api import backend as backend_module
from engine.api.app import create_app
from engine.api.origin import is_local
from engine.api.requests import masked
from engine.api.twilio import MAX_BODY_BYTES, NO_CAPACITY, TROUBLE, UNKNOWN_NUMBER
from engine.config import Settings
from engine.errors import ProviderUnavailable
from engine.telephony.signature import sign
from engine.telephony.tokens import MediaClaims, issue, verify
from models import CallKey

SECRET = "s" * 40
AUTH_TOKEN = "12345"
FORM = {"CallSid": "CA1", "From": "+15550100", "To": "+15550199", "CallStatus": "ringing"}
VOICE = "/telephony/twilio/voice"
ACTION = "/telephony/twilio/action"


@dataclass
class Installation:
    """An `ApiBackend` with its answers in fields."""

    numbers: dict[str, tuple[str, str]] = field(default_factory=lambda: {"+15550199": ("acme", "desk")})
    full: str | None = None
    alive: set[CallKey] = field(default_factory=set)
    waiting: dict[str, str | None] = field(default_factory=lambda: {"switchboard": None})
    down: bool = False
    hangs: bool = False

    async def capacity(self, company_id: str) -> str | None:
        if self.down:
            raise ProviderUnavailable("the switchboard cannot be reached")
        if self.hangs:
            await asyncio.Event().wait()
        return self.full

    async def live(self, call: CallKey) -> bool:
        return call in self.alive

    async def wind_up(self, call: CallKey) -> None:
        raise AssertionError("nobody ends a call here")

    async def metrics(self) -> str:
        return "# none\n"

    async def agent_for_number(self, number: str) -> tuple[str, str] | None:
        return self.numbers.get(number)

    async def ready(self) -> Mapping[str, str | None]:
        return self.waiting


@pytest.fixture
def installation() -> Installation:
    return Installation()


def client(
    installation: Installation, tmp_path: Path, address: str = "127.0.0.1", **options: Any
) -> httpx.AsyncClient:
    """A client whose requests come from `address`, to an API with these settings."""
    values: dict[str, Any] = {"data_dir": tmp_path, "secret": SECRET} | options
    app = create_app(installation, Settings(_env_file=None, **values))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=(address, 5555))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000")


def stream_url(response: httpx.Response) -> str:
    stream = ElementTree.fromstring(response.text).find("Connect/Stream")
    assert stream is not None
    return stream.attrib["url"]


def spoken(response: httpx.Response) -> str | None:
    root = ElementTree.fromstring(response.text)
    assert [item.tag for item in root] == ["Say", "Hangup"]
    return root[0].text


def signature(url: str, form: dict[str, str]) -> dict[str, str]:
    return {"X-Twilio-Signature": sign(AUTH_TOKEN, url, form.items())}


async def test_a_call_is_connected(installation: Installation, tmp_path: Path) -> None:
    async with client(installation, tmp_path) as http:
        response = await http.post(VOICE, data=FORM)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/xml")
    url = stream_url(response)
    assert url.startswith("ws://127.0.0.1:8000/media/")
    claims = verify(url.rsplit("/", 1)[1], SECRET)
    assert (claims.company_id, claims.agent_id, claims.call_id) == ("acme", "desk", "CA1")
    assert (claims.caller, claims.called, claims.events) == ("+15550100", "+15550199", False)
    connect = ElementTree.fromstring(response.text).find("Connect")
    assert connect is not None
    assert connect.attrib["action"] == f"http://127.0.0.1:8000{ACTION}"


async def test_every_stream_has_its_own_token(installation: Installation, tmp_path: Path) -> None:
    async with client(installation, tmp_path) as http:
        first, second = [stream_url(await http.post(VOICE, data=FORM)) for _ in range(2)]
    assert first != second


async def test_refusals_are_spoken(installation: Installation, tmp_path: Path) -> None:
    async with client(installation, tmp_path) as http:
        assert spoken(await http.post(VOICE, data=FORM | {"To": "+1"})) == UNKNOWN_NUMBER
        installation.full = "the company has 8 of 8 calls"
        assert spoken(await http.post(VOICE, data=FORM)) == NO_CAPACITY
        installation.down = True
        assert spoken(await http.post(VOICE, data=FORM)) == TROUBLE


async def test_a_silent_switchboard_is_a_spoken_refusal(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend_module, "DEADLINE_S", 0.01)
    installation.hangs = True
    async with client(installation, tmp_path) as http:
        assert spoken(await http.post(VOICE, data=FORM)) == TROUBLE


async def test_signed_webhooks(installation: Installation, tmp_path: Path) -> None:
    options = {"twilio_auth_token": AUTH_TOKEN, "public_url": "https://voice.example.com"}
    public = f"https://voice.example.com{VOICE}?region=1"
    async with client(installation, tmp_path, "203.0.113.9", **options) as http:
        good = await http.post(f"{VOICE}?region=1", data=FORM, headers=signature(public, FORM))
        unsigned = await http.post(VOICE, data=FORM)
        other_url = await http.post(VOICE, data=FORM, headers=signature(public, FORM))
        changed = await http.post(
            f"{VOICE}?region=1", data=FORM | {"To": "+1"}, headers=signature(public, FORM)
        )
    assert stream_url(good).startswith("wss://voice.example.com/media/")
    assert [response.status_code for response in (unsigned, other_url, changed)] == [403, 403, 403]


async def test_a_webhook_with_a_broken_host_is_refused(installation: Installation, tmp_path: Path) -> None:
    headers = {"Host": "[::1", "X-Twilio-Signature": "x"}
    async with client(installation, tmp_path, twilio_auth_token=AUTH_TOKEN) as http:
        response = await http.post(VOICE, data=FORM, headers=headers)
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("peer", "server", "host", "local"),
    [
        ("127.0.0.1", "127.0.0.1", "localhost:8000", True),
        ("10.0.0.5", "10.0.0.5", "127.0.0.1:8000", True),
        ("::1", "::1", "[::1]:8000", True),
        ("10.0.0.6", "10.0.0.5", "127.0.0.1:8000", False),
        ("10.0.0.5", "10.0.0.5", "10.0.0.5:8000", False),
        (None, "127.0.0.1", "localhost", False),
    ],
)
def test_what_is_local(peer: str | None, server: str, host: str, local: bool) -> None:
    scope = {
        "type": "http",
        "client": peer and (peer, 5555),
        "server": (server, 30_000),
        "headers": [(b"host", host.encode())],
    }
    assert is_local(HTTPConnection(scope)) is local


async def test_forwarded_hosts_count_from_trusted_proxies_only(
    installation: Installation, tmp_path: Path
) -> None:
    options = {"twilio_auth_token": AUTH_TOKEN, "trusted_proxies": ("10.0.0.0/8",)}
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "voice.example.com"}
    headers |= signature(f"https://voice.example.com{VOICE}", FORM)
    async with client(installation, tmp_path, "10.1.2.3", **options) as http:
        trusted = await http.post(VOICE, data=FORM, headers=headers)
    async with client(installation, tmp_path, "203.0.113.9", **options) as http:
        stranger = await http.post(VOICE, data=FORM, headers=headers)
    assert stream_url(trusted).startswith("wss://voice.example.com/media/")
    assert stranger.status_code == 403


@pytest.mark.parametrize(
    ("address", "headers", "options"),
    [
        ("203.0.113.9", {}, {}),
        ("127.0.0.1", {"Host": "evil.example.com"}, {}),
        ("127.0.0.1", {"X-Forwarded-For": "127.0.0.1"}, {}),
        ("127.0.0.1", {}, {"environment": "production"}),
    ],
)
async def test_unsigned_webhooks_are_for_this_machine_in_development(
    installation: Installation, tmp_path: Path, address: str, headers: dict[str, str], options: dict[str, str]
) -> None:
    async with client(installation, tmp_path, address, **options) as http:
        response = await http.post(VOICE, data=FORM, headers=headers)
    assert response.status_code == 403
    assert "PARLEY_TWILIO_AUTH_TOKEN" in response.json()["detail"]


async def test_unsigned_webhooks_warn_once(
    installation: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client(installation, tmp_path) as http:
        for _ in range(3):
            await http.post(VOICE, data=FORM)
    assert len([record for record in caplog.records if "AUTH_TOKEN" in record.message]) == 1


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"CallSid=", 400),
        (b"CallSid=CA%201", 400),
        (b"CallSid=CA1&From=%ff", 400),
        (b"CallSid=CA1&" + b"&".join(b"a=1" for _ in range(300)), 400),
        (b"\xff\xfe", 400),
        (b"CallSid=CA1&x=" + b"y" * MAX_BODY_BYTES, 413),
    ],
)
async def test_bad_forms(installation: Installation, tmp_path: Path, content: bytes, status: int) -> None:
    async with client(installation, tmp_path) as http:
        response = await http.post(VOICE, content=content)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_action_reconnects_a_live_call_and_ends_others(
    installation: Installation, tmp_path: Path
) -> None:
    async with client(installation, tmp_path) as http:
        over = await http.post(ACTION, data=FORM)
        installation.alive |= {CallKey("acme", "CA1"), CallKey("other", "CA2")}
        live = await http.post(ACTION, data=FORM | {"CallStatus": "in-progress"})
        hung_up = await http.post(ACTION, data=FORM | {"CallStatus": "completed"})
        unknown = await http.post(ACTION, data=FORM | {"To": ""})
        others = await http.post(ACTION, data=FORM | {"CallSid": "CA2"})
    assert verify(stream_url(live).rsplit("/", 1)[1], SECRET).call_id == "CA1"
    for response in (over, hung_up, unknown, others):
        assert [item.tag for item in ElementTree.fromstring(response.text)] == ["Hangup"]


async def test_talk_session(installation: Installation, tmp_path: Path) -> None:
    async with client(installation, tmp_path) as http:
        response = await http.post("/talk/session", headers={"Origin": "http://127.0.0.1:8000"})
        plain = await http.post("/talk/session")
    session = response.json()
    assert session["url"].startswith("ws://127.0.0.1:8000/media/")
    claims = verify(session["url"].rsplit("/", 1)[1], SECRET)
    assert (claims.call_id, claims.events, claims.company_id) == (session["call_id"], True, "demo")
    assert plain.json()["call_id"] != session["call_id"]


async def test_talk_session_goes_on_with_a_live_call(installation: Installation, tmp_path: Path) -> None:
    installation.alive |= {CallKey("demo", "PC1"), CallKey("other", "PC2")}
    installation.full = "full"
    async with client(installation, tmp_path) as http:
        again = await http.post("/talk/session", json={"call_id": "PC1"})
        over = await http.post("/talk/session", json={"call_id": "PC2"})
        bad = await http.post("/talk/session", json={"call_id": "../x"})
    assert again.json()["call_id"] == "PC1"
    assert (over.status_code, bad.status_code) == (404, 422)


async def test_talk_session_when_full(installation: Installation, tmp_path: Path) -> None:
    installation.full = "16 of 16 calls are taken"
    async with client(installation, tmp_path) as http:
        response = await http.post("/talk/session")
    assert response.status_code == 503
    assert response.json()["detail"] == "16 of 16 calls are taken"


@pytest.mark.parametrize(
    ("address", "headers", "options", "status"),
    [
        ("203.0.113.9", {}, {}, 404),
        ("127.0.0.1", {"Host": "attacker.example:8000"}, {}, 404),
        ("127.0.0.1", {"Host": ""}, {}, 404),
        ("127.0.0.1", {"Host": "[::1"}, {}, 404),
        ("127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, {}, 404),
        ("127.0.0.1", {}, {"host": "0.0.0.0"}, 404),
        ("127.0.0.1", {"Origin": "http://attacker.example"}, {}, 403),
        ("127.0.0.1", {"Origin": "null"}, {}, 403),
        ("127.0.0.1", {"Origin": "http://127.0.0.1:9000"}, {}, 403),
        ("127.0.0.1", {"Sec-Fetch-Site": "cross-site"}, {}, 403),
    ],
)
async def test_talk_session_is_refused(
    installation: Installation,
    tmp_path: Path,
    address: str,
    headers: dict[str, str],
    options: dict[str, str],
    status: int,
) -> None:
    async with client(installation, tmp_path, address, **options) as http:
        response = await http.post("/talk/session", headers=headers)
    assert response.status_code == status
    assert "url" not in response.json()


async def test_talk_page_and_its_files(installation: Installation, tmp_path: Path) -> None:
    async with client(installation, tmp_path) as http:
        page = await http.get("/talk")
        script = await http.get("/talk/talk.js")
        others = [await http.get(f"/talk/{name}") for name in ("__init__.py", "..%2ftalk.js", "none.js")]
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert script.headers["content-type"].startswith("text/javascript")
    assert [response.status_code for response in others] == [404, 404, 404]


@pytest.mark.parametrize(
    ("address", "options", "demo"),
    [("127.0.0.1", {}, True), ("203.0.113.9", {}, False), ("127.0.0.1", {"host": "0.0.0.0"}, False)],
)
async def test_the_demo_agent_is_offered_on_this_machine_alone(
    installation: Installation, tmp_path: Path, address: str, options: dict[str, str], demo: bool
) -> None:
    async with client(installation, tmp_path, address, **options) as http:
        page, welcome = await http.get("/talk"), await http.get("/talk/welcome")
    assert (page.status_code, welcome.json()) == (200, {"demo": demo})


async def test_health_and_readiness(installation: Installation, tmp_path: Path) -> None:
    async with client(installation, tmp_path) as http:
        assert (await http.get("/health")).json() == {"status": "ok"}
        ready = await http.get("/ready")
        installation.waiting = {"switchboard": "it starts", "stt": None}
        unready = await http.get("/ready")
        info = await http.get("/")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "waiting_for": {}})
    assert (unready.status_code, unready.json()["waiting_for"]) == (503, {"switchboard": "it starts"})
    assert (info.json()["name"], info.json()["links"]["talk"]) == ("parley", "/talk")


async def test_problems_name_the_request(installation: Installation, tmp_path: Path) -> None:
    async with client(installation, tmp_path) as http:
        given = await http.get("/nothing", headers={"X-Request-Id": "request-0001"})
        made = await http.get("/nothing", headers={"X-Request-Id": "bad id\t"})
        method = await http.put("/health")
    assert given.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "request_id": "request-0001",
    }
    assert given.headers["x-request-id"] == "request-0001"
    assert made.json()["request_id"] == made.headers["x-request-id"] != "bad id\t"
    assert (method.status_code, method.headers["allow"]) == (405, "GET")


async def test_what_nobody_expected_is_a_problem_without_internals(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken() -> Mapping[str, str | None]:
        raise KeyError("secret detail")

    monkeypatch.setattr(installation, "ready", broken)
    async with client(installation, tmp_path) as http:
        response = await http.get("/ready")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json()["title"] == "Internal Server Error"


async def test_the_log_has_no_tokens(
    installation: Installation, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    token = issue(MediaClaims("acme", "desk", "CA1"), SECRET, 60)
    caplog.set_level(logging.DEBUG)
    async with client(installation, tmp_path) as http:
        await http.get(f"/media/{token}")
        await http.get(f"/odd/{token}?key={token}")
        await http.post(VOICE, data=FORM)
    lines = [record.getMessage() for record in caplog.records if record.name == "parley.access"]
    assert [line.split(" ")[:3] for line in lines] == [
        ["GET", "/media/***", "404"],
        ["GET", "/odd/***", "404"],
        ["POST", VOICE, "200"],
    ]
    ours = [record for record in caplog.records if not record.name.startswith("httpx")]
    assert token.split(".")[2] not in json.dumps([record.getMessage() for record in ours])


def test_masked_paths_stay_on_one_line() -> None:
    assert masked("/a\nINFO fake b") == "/a?INFO?fake?b"
    assert masked("/media/a/b") == "/media/***"
    assert masked("/media/a\nb") == "/media/***", "nor does a line break end what is masked"
    assert masked("/companies/co_1/callers/+15550299") == "/companies/co_1/callers/***"
    assert masked("/companies/co_1/callers/anonymous") == "/companies/co_1/callers/***"
    for number in ("+15550299", "+1 (555) 0299", "15550299", "%2B15550299", "%252b15550299"):
        assert masked(f"/numbers/{number}/x") == "/numbers/***/x"
    for plain in ("/calls/01m8h5k6e3-CA0123456789", "/companies/co_01m8h5k6e3sq1p6yezyt3jh4vp", "/calls/12"):
        assert masked(plain) == plain
    assert masked("/talk/microphone-worklet.js") == "/talk/microphone-worklet.js"
    assert len(masked("/" + "x" * 9_000)) == 200

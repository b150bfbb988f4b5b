"""`parley` at a terminal against a running server: real HTTP, a real store, no cluster."""

from __future__ import annotations

import dataclasses
import json
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.responses import Response

from engine.cli import api_session, following, uploading
from engine.cli.api_session import ApiSession, server_url
from engine.cli.following import Told
from engine.cli.session_file import Kept, SessionFile
from engine.config import settings
from engine.errors import UsageError
from engine.services import passwords
from engine.services.access import Access, TooMany
from engine.services.following import Following, Pace
from models import CallEvent
from tests.unit.api_client import PASSWORD
from tests.unit.cli_site import CliSite, Hurried
from tests.vendors.simulator import nowhere


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CliSite]:
    monkeypatch.setattr(passwords, "ROUNDS", 4)
    monkeypatch.setattr(uploading, "POLL_S", 0.0)
    monkeypatch.setattr(following, "RETRY_S", 0.0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PARLEY_API_KEY", raising=False)
    settings.cache_clear()
    site = CliSite(tmp_path)
    with site.serving():
        monkeypatch.setenv("PARLEY_API_URL", site.url)
        yield site
    settings.cache_clear()


# Signing in


def test_a_company_registers_and_its_owner_is_signed_in(site: CliSite) -> None:
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    shown = site.out(
        *("companies", "create", "River [/side]", "--owner-name", "Ann", "--email", "ann@r.example.com"),
        typed=typed,
    )
    assert f"signed in at {site.url} as ann@r.example.com, owner of co_" in shown
    (company,) = site.json("companies", "list")
    assert (company["name"], company["status"]) == ("River [/side]", "active")
    assert site.json("companies", "show") == site.json("companies", "show", company["id"]) == company
    assert "River [/side]" in site.out("companies", "list"), "what somebody typed is no markup"


def test_login_and_logout(site: CliSite) -> None:
    site.register()
    assert site.out("logout") == f"signed out at {site.url}\n"
    assert site.out("logout") == f"nobody is signed in at {site.url}\n"
    assert "run `parley login`" in site.refused("calls", "list")
    assert site.json("login", typed=f"ann@acme.example.com\n{PASSWORD}\n")["role"] == "owner"
    assert site.json("calls", "list") == []


def test_a_session_is_its_owners_alone_to_read(site: CliSite) -> None:
    site.register()
    assert stat.S_IMODE(site.session_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(site.session_file.parent.stat().st_mode) == 0o700
    assert [path.name for path in site.session_file.parent.iterdir() if path.suffix != ".lock"] == [
        "session.json"
    ]


def test_wrong_input_is_one_line(site: CliSite) -> None:
    site.register()
    site.out("logout")
    login = ("login", "--email", "ann@acme.example.com", "--password-stdin")
    assert "wrong e-mail address or password (request " in site.refused(*login, typed="not that one\n")
    create = ("companies", "create", "b", "--owner-name", "B", "--password-stdin", "--email")
    assert "error: email: " in site.refused(*create, "b@b@b", typed=f"{PASSWORD}\n")
    assert "at least 10" in site.refused(*create, "b@b.example.com", typed="short\n")
    assert not site.session_file.exists() or json.loads(site.session_file.read_text()) == {}


def test_no_server_and_what_is_none(site: CliSite) -> None:
    with nowhere() as url:
        line = site.refused("login", "--email", "a@b.example.com", "--password-stdin", "--server", url)
        assert f"no server answers at {url}" in line
        assert "parley serve" in line
        assert "--server" in line
    assert "--server must be a URL" in site.refused("calls", "list", "--server", "localhost:8000")


@pytest.mark.parametrize("url", ["ftp://a", "https://", "http://a:b", "http://ann:word@a", "http://[", "a"])
def test_what_is_no_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARLEY_API_URL", url)
    with pytest.raises(UsageError, match="PARLEY_API_URL must be a URL"):
        server_url(None)


def test_where_the_server_is(site: CliSite, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_url("https://voice.example.com/api/v1/") == "https://voice.example.com"
    assert server_url(None) == site.url
    monkeypatch.delenv("PARLEY_API_URL")
    monkeypatch.setenv("PARLEY_PORT", "8123")
    assert server_url(None) == "http://127.0.0.1:8123"


def test_a_server_that_is_not_parley(site: CliSite) -> None:
    async def page() -> dict[str, str]:
        return {"hello": "world"}

    async def proxy() -> Response:
        return Response("<h1>Bad Gateway</h1>", status_code=502, media_type="text/html")

    site.app.router.routes.insert(0, APIRoute("/api/v1/auth/me", page))
    site.app.router.routes.insert(0, APIRoute("/api/v1/companies", proxy))
    site.register()
    assert "does not know (id)" in site.refused("calls", "list")
    assert "502 Bad Gateway and not as Parley does" in site.refused("companies", "list")
    assert "error: Not Found (request " in site.refused("companies", "show", "x/y")


@pytest.mark.parametrize(
    "arguments",
    [
        ("calls", "list", "--server", "http://a b"),
        ("calls", "list", "--server", f"http://{'a' * 70}.example.com"),
        ("calls", "list", "--company", "\udcff"),
        ("calls", "show", "../../auth/me\n"),
        ("documents", "search", "\udcff"),
        ("documents", "search", " "),
        ("companies", "show", "\udcff"),
    ],
)
def test_odd_arguments(site: CliSite, arguments: tuple[str, ...]) -> None:
    site.register()
    site.refused(*arguments)


def test_odd_passwords(site: CliSite) -> None:
    login = ("login", "--email", "a@b.example.com", "--password-stdin")
    assert "is not UTF-8" in site.refused(*login, typed=b"\xff\n")
    odd = ("login", "--email", "\udcff@b.example.com", "--password-stdin")
    assert "is not UTF-8" in site.refused(*odd, typed=PASSWORD)


# Tokens


def test_an_expired_token_is_renewed_and_its_successor_kept_before_it_is_used(
    site: CliSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.register()
    send, used = ApiSession._send, []

    def watched(self: ApiSession, method: str, path: str, token: str | None, **options: Any) -> Any:
        if token is not None:
            used.append(token)
            assert token == site.kept()["access_token"]
        return send(self, method, path, token, **options)

    monkeypatch.setattr(ApiSession, "_send", watched)
    before = site.kept()
    site.keep(expires_at=0.0)
    for _ in range(2):
        assert site.json("calls", "list") == []
    after = site.kept()
    assert after["refresh_token"] != before["refresh_token"]
    assert set(used) == {after["access_token"]}


def test_a_token_that_the_server_refuses_is_renewed(site: CliSite) -> None:
    site.register()
    site.keep(access_token="a.b.c")
    assert site.json("calls", "list") == []
    file = site.session_file.parents[2] / "hours.txt"
    file.write_text("We open at nine.")
    site.keep(access_token="a.b.c")
    assert site.json("documents", "upload", str(file))[0]["size_bytes"] == 16


def test_many_processes_renew_once(site: CliSite) -> None:
    company = site.register()
    site.keep(expires_at=0.0)

    def ask(_: int) -> str:
        with ApiSession(site.url) as api:
            return api.own_company()

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(ask, range(4))) == {company}
    assert site.json("calls", "list") == [], "a token that two had used would have ended the session"


def test_a_session_that_is_over_is_forgotten(site: CliSite) -> None:
    site.register()
    old = site.kept()
    site.keep(expires_at=0.0)
    site.out("calls", "list")
    site.keep(refresh_token=old["refresh_token"], expires_at=0.0)
    assert "is over: run `parley login`" in site.refused("calls", "list")
    assert "you are not signed in" in site.refused("calls", "list")


def test_a_session_goes_to_no_other_server(site: CliSite) -> None:
    site.register()
    other = site.url.replace("127.0.0.1", "localhost")
    assert f"you are not signed in at {other}" in site.refused("calls", "list", "--server", other)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"http://127.0.0.1": 1}', "\x00"])
def test_a_damaged_session_file_is_no_session(site: CliSite, content: str) -> None:
    site.session_file.parent.mkdir(parents=True)
    site.session_file.write_text(content)
    assert "you are not signed in" in site.refused("calls", "list")
    site.register()
    assert site.json("calls", "list") == []


def test_a_file_in_the_place_of_the_folder(site: CliSite) -> None:
    site.session_file.parents[1].write_text("")
    assert "session.json" in site.refused("logout")
    assert "session.json" in site.refused("calls", "list")


def test_a_program_asks_with_its_key(site: CliSite, monkeypatch: pytest.MonkeyPatch) -> None:
    company = site.register()
    with ApiSession(site.url) as api:
        body = {"name": "reports", "role": "agent"}
        secret = json.loads(api.read("POST", f"/companies/{company}/api-keys", json=body))["secret"]
    site.out("logout")
    site.call(company)
    monkeypatch.setenv("PARLEY_API_KEY", secret)
    assert [one["call_id"] for one in site.json("calls", "list")] == ["CA1"]
    note = site.session_file.with_name("note.txt")
    note.write_text("We open at nine.")
    assert "this needs the role 'manager'" in site.refused("documents", "upload", str(note))
    monkeypatch.setenv("PARLEY_API_KEY", "pk_unknown")
    assert "this key is unknown or revoked" in site.refused("calls", "list")
    monkeypatch.setenv("PARLEY_API_KEY", "secret")
    assert "PARLEY_API_KEY must be a key" in site.refused("calls", "list")
    monkeypatch.delenv("PARLEY_API_KEY")
    monkeypatch.setenv("PARLEY_API_KEYS", secret)
    assert "did you mean PARLEY_API_KEY?" in site.refused("calls", "list")


def test_another_companys_things_do_not_exist(site: CliSite) -> None:
    company = site.register("other")
    site.call(company)
    site.register("acme")
    for command in (("list",), ("show", "CA1"), ("transcript", "CA1"), ("follow", "CA1"), ("end", "CA1")):
        assert f"there is no company {company}" in site.refused("calls", *command, "--company", company)
    assert "there is no call CA1" in site.refused("calls", "show", "CA1")
    assert "there is no company" in site.refused("companies", "show", company)
    assert "there is no company" in site.refused("documents", "list", "--company", company)
    assert "company_id: String should have at most 64" in site.refused("companies", "show", "x" * 80)


# Documents and agents


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Name -> path."""
    contents = {
        "hours [new] 100%.txt": b"We open at nine.",
        "big.csv": b"a,b\n" * 200_000,
        "broken.pdf": b"%PDF",
    }
    folder = tmp_path / "files"
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: str(folder / name) for name in contents}


def test_documents_from_upload_to_deletion(site: CliSite, files: dict[str, str]) -> None:
    company = site.register()
    names = ("hours [new] 100%.txt", "big.csv")
    ready = site.json("documents", "upload", *(files[name] for name in names))
    assert {one["name"]: (one["size_bytes"], one["status"]) for one in ready} == {
        names[0]: (16, "ready"),
        names[1]: (800_000, "ready"),
    }
    shown = site.out("documents", "list")
    assert all(name in shown for name in names)
    (found,) = site.json("documents", "search", "when?")
    assert (found["text"], found["page"]) == (f"{company}: when?", 3)
    assert "0.50  prices.pdf, page 3" in site.out("documents", "search", "when?")
    assert "is deleted" in site.out("documents", "delete", names[0])
    assert site.json("documents", "delete", ready[1]["id"])["name"] == ready[1]["name"]
    assert site.json("documents", "list") == []
    assert "there is no document 'big.csv'" in site.refused("documents", "delete", "big.csv")


def test_one_that_fails_is_named_and_keeps_no_other_back(site: CliSite, files: dict[str, str]) -> None:
    site.register()
    odd = Path(files["broken.pdf"]).with_name("tool.exe")
    odd.write_bytes(b"MZ")
    result = site.run("documents", "upload", files["broken.pdf"], str(odd), files["big.csv"])
    assert result.exit_code == 1
    assert "big.csv: ready, 2 passages\n" in result.stderr
    *_, line = result.stderr.splitlines()
    assert "2 of 3 failed: tool.exe: name: its ending must be one of " in line
    assert "broken.pdf: the PDF is damaged: save it again" in line
    assert {one["name"] for one in site.json("documents", "list")} == {"broken.pdf", "big.csv"}


def test_what_is_not_sent(site: CliSite, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    site.register()
    twin = Path(files["big.csv"]).parent / "twin" / "big.csv"
    twin.parent.mkdir()
    twin.write_bytes(b"x")
    assert "two files are called big.csv" in site.refused("documents", "upload", files["big.csv"], str(twin))
    assert site.run("documents", "upload", "no-such.txt").exit_code == 2
    monkeypatch.setattr(uploading, "LARGEST", 1000)
    assert "big.csv: a document has at most" in site.refused("documents", "upload", files["big.csv"])
    assert site.knowledge.ingested == []


def test_agents_are_listed_and_published(site: CliSite) -> None:
    company = site.register()
    with ApiSession(site.url) as api:
        for name in ("Front desk", "Twin", "Twin"):
            api.read("POST", f"/companies/{company}/agents", json={"name": name})
    assert "draft" in site.out("agents", "list")
    published = site.json("agents", "publish", "Front desk")
    assert published["published_version"] == published["version"]
    states = {line.split()[-1] for line in site.out("agents", "list").splitlines()[1:]}
    assert states == {"draft", "published"}
    assert "is published" in site.out("agents", "publish", published["id"])
    assert "there is no agent 'nobody'" in site.refused("agents", "publish", "nobody")
    assert "2 agents are called 'Twin'" in site.refused("agents", "publish", "Twin")


# Calls


def test_calls_are_listed_and_shown(site: CliSite) -> None:
    company = site.register()
    site.call(company)
    site.call(company, "CA2", until=1)
    assert {one["call_id"] for one in site.json("calls", "list")} == {"CA1", "CA2"}
    assert len(site.json("calls", "list", "--limit", "1")) == 1
    assert [one["call_id"] for one in site.json("calls", "list", "--status", "live")] == ["CA2"]
    assert site.json("calls", "list", "--agent", "nobody") == []
    shown = site.out("calls", "list")
    assert "ended: caller hung up" in shown
    assert "0:12" in shown
    assert site.json("calls", "show", "CA1")["turns"][1]["caller"] == "When do you open?"
    lines = site.out("calls", "show", "CA1").splitlines()
    assert lines[0] == "CA1: ended: caller hung up"
    assert "caller  When do you open?" in lines
    assert "agent   At nine.  (430 ms)" in lines
    assert "agent   Hello.  (greeting)" in lines


def test_more_calls_than_a_page_holds(site: CliSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_session, "_LARGEST_PAGE", 2)
    company = site.register()
    for number in range(5):
        site.call(company, f"CA{number}", until=1)
    assert len({one["call_id"] for one in site.json("calls", "list")}) == 5
    assert len(site.json("calls", "list", "--limit", "3")) == 3


def test_a_transcript_in_each_form(site: CliSite) -> None:
    site.call(site.register())
    assert site.out("calls", "transcript", "CA1").splitlines()[1:3] == [
        "caller: When do you open?",
        "agent: At nine.",
    ]
    assert site.out("calls", "transcript", "CA1", "--format", "vtt").startswith("WEBVTT\n")
    lines = site.json("calls", "transcript", "CA1")["lines"]
    assert lines == json.loads(site.out("calls", "transcript", "CA1", "--format", "json"))["lines"]
    assert len(lines) == 5


def write_as_it_is_read(site: CliSite, events: list[CallEvent], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads the journal has the next event written behind what it sees."""
    read = site.store.events

    async def growing(company_id: str, call_id: str) -> list[CallEvent]:
        found = await read(company_id, call_id)
        if found:
            await site.store.append_events(events[len(found) : len(found) + 1])
        return found

    monkeypatch.setattr(site.store, "events", growing)


def follow_with(site: CliSite, following: Following) -> None:
    site.app.state.platform = dataclasses.replace(site.app.state.platform, following=following)


def test_a_call_is_followed_until_it_ends(site: CliSite, monkeypatch: pytest.MonkeyPatch) -> None:
    company = site.register()
    events = site.call(company, until=1)
    follow_with(site, Hurried(site.store, at_once=99))
    write_as_it_is_read(site, events, monkeypatch)
    assert site.out("calls", "follow", "CA1").splitlines() == [
        "0:00  +15550100 called +15550199; agent front",
        "0:01  agent   Hello.  (greeting)",
        "0:02  caller  When do you open?",
        "0:03  agent   At nine.",
        "0:10  caller  Who are you?",
        "0:11  agent   At nine.  (unknown)",
        "0:12  call ended: caller hung up",
    ]


def test_a_stream_that_breaks_off_goes_on_where_it_was(
    site: CliSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = site.register()
    events = site.call(company, until=1)
    hurried = Hurried(site.store, at_once=2)
    follow_with(site, hurried)
    write_as_it_is_read(site, events, monkeypatch)
    told = [json.loads(line) for line in site.out("calls", "follow", "CA1", "--json").splitlines()]
    assert [one["seq"] for one in told] == list(range(len(events)))
    assert (told[-1]["event"], told[-1]["reason"]) == ("call_ended", "caller hung up")
    assert hurried.asked == [-1, 1, 3, 5]


def test_a_stream_that_only_ends_is_given_up(site: CliSite) -> None:
    site.call(site.register(), until=1)
    looked = count()
    follow_with(site, Following(site.store, Pace(poll_s=0.0, longest_s=4.0), lambda: float(next(looked))))
    result = site.run("calls", "follow", "CA1")
    assert (result.exit_code, result.stdout.count("\n")) == (1, 1)
    assert "the server ends the stream, but the call is not over" in result.stderr


def test_a_busy_server_is_asked_again_when_it_says(site: CliSite, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(following, "time", SimpleNamespace(sleep=slept.append))
    site.call(site.register())
    hurried = Hurried(site.store, at_once=4)
    follow_with(site, hurried)
    refuse = iter([False, True])

    def check(access: Access) -> None:
        if next(refuse, False):
            raise TooMany(7.0)

    monkeypatch.setattr(hurried, "check", check)
    assert site.out("calls", "follow", "CA1").endswith("call ended: caller hung up\n")
    assert (slept, hurried.asked) == ([0.0, 7.0], [-1, 3])


def test_pieces_and_interruptions() -> None:
    told = [
        Told(0, "call_started", 1000.0, {"agent_id": "front"}),
        Told(1, "reply_released", 2000.0, {"turn": 1, "text": " We open\nat nine. ", "kind": "reply"}),
        Told(2, "heard", 3000.0, {"turn": 1, "text": "We open", "interrupted": True}),
        Told(3, "reply_released", 63_000.0, {"turn": 2, "text": "Yes.\x1b[2J", "kind": "courtesy"}),
        Told(4, "heard", 64_000.0, {"turn": 2, "text": "Yes.", "interrupted": False}),
        Told(5, "attached", 65_000.0, {"epoch": 2, "reason": "actor lost"}),
        Told(6, "of tomorrow", 66_000.0, {}),
    ]
    screen = following.Screen()
    assert [line for event in told for line in screen.lines(event)] == [
        "0:00  unknown called unknown; agent front",
        "0:01  agent   We open at nine.",
        "0:02          interrupted; heard up to: We open",
        "1:02  agent   Yes.?[2J  (courtesy)",
        "1:04          the call goes on elsewhere: actor lost",
    ]


def test_a_call_is_told_to_end(site: CliSite) -> None:
    site.call(site.register(), until=1)
    assert site.out("calls", "end", "CA1") == "CA1: the agent says goodbye and hangs up\n"
    assert site.json("calls", "end", "CA1")["status"] == "live"
    assert [call.call_id for call in site.cluster.wound_up] == ["CA1", "CA1"]
    assert "there is no call CA9" in site.refused("calls", "end", "CA9")


def test_sessions_are_kept_by_server(tmp_path: Path) -> None:
    file = SessionFile(tmp_path / "session.json")
    first, second = Kept("a", "b", "c", 1.0), Kept("d", "e", "f", 2.0)
    file.save("http://a", first)
    file.save("http://b", second)
    file.save("http://a", None)
    assert (file.load("http://a"), file.load("http://b")) == (None, second)
    assert "access_token" not in repr(second)

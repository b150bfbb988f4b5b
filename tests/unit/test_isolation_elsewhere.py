"""Isolation where no route's parameter decides: search, live events, recordings, spoken phrases, logs.

What a company may not see is always shown to be there for the one whose it is.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from engine import logs
from engine.errors import ParleyError, ProviderUnavailable
from engine.knowledge.edge_index import EdgeIndex
from engine.knowledge.index import Space
from engine.knowledge.retrieve import Retriever
from engine.providers.base import Passage
from engine.providers.tts.cache import PhraseCache, PhraseKey
from engine.services.access import Access
from engine.services.following import Following
from engine.services.knowledge import Knowledge
from engine.store import Page
from engine.store.documents import CALLS
from engine.store.recordings import Recordings
from models import CallEvent
from tests.unit.api_client import PASSWORD, Library
from tests.unit.isolation_world import MARKER, PACE, Firm, World, world
from tests.unit.openapi_routes import operations
from tests.unit.test_knowledge_retrieve import DIMENSION, WordCounts


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as one:
        yield one


async def get(here: World, firm: Firm, path: str, who: str = "owner") -> httpx.Response:
    """`path`: below the firm's, as it is written in a URL."""
    headers = {"Authorization": f"Bearer {firm.bearers[who]}"}
    return await here.site.client.get(f"/companies/{firm.id}{path}", headers=headers)


async def find(here: World, firm: Firm, query: str) -> str:
    headers = {"Authorization": f"Bearer {firm.bearers['agent']}"}
    where, body = f"/companies/{firm.id}/search", {"query": query, "limit": 50}
    response = await here.site.client.post(where, headers=headers, json=body)
    assert response.status_code == 200, response.text
    return response.text


# Search


class Indexed(Library):
    """The knowledge application over a real index."""

    def __init__(self, retriever: Retriever) -> None:
        super().__init__()
        self.retriever = retriever

    async def forget(self, company_id: str, document_id: str) -> None:
        await self.retriever.delete(company_id, document_id)

    async def search(self, company_id: str, query: str, limit: int) -> Sequence[Passage]:
        return await self.retriever.search(company_id, query, limit)


@pytest.fixture
async def index() -> AsyncIterator[EdgeIndex]:
    """On a folder in memory where there is one: a disk makes every flush wait."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        opened = await EdgeIndex.open(Path(folder), Space("words", DIMENSION))
        yield opened
        await opened.close()


async def test_the_exact_text_of_another_company_finds_nothing_of_it(here: World, index: EdgeIndex) -> None:
    retriever = Retriever(WordCounts(), index)
    knowledge = Knowledge(here.site.store, here.folder, Indexed(retriever))
    here.site.app.state.platform = replace(here.site.app.state.platform, knowledge=knowledge)
    text = f"The safe of {MARKER} stands in room 12."
    await retriever.ingest(here.theirs.id, "doc", "safe.txt", text)
    assert MARKER in await find(here, here.theirs, text)
    assert await find(here, here.ours, text) == '{"items":[]}', "with nothing of our own"

    await retriever.ingest(here.ours.id, "doc", "safe.txt", "We have no safe.")
    found = await find(here, here.ours, text)
    assert "We have no safe." in found
    assert MARKER not in found
    [vector] = await WordCounts().embed([text], role="query")
    nearest = await index.search(here.ours.id, vector, 1000)
    assert [one.passage.text for one in nearest] == ["We have no safe."], "by the vector itself"

    await retriever.delete(here.ours.id, "doc")
    assert await find(here, here.ours, text) == '{"items":[]}'
    assert MARKER in await find(here, here.theirs, text), "theirs has the same name and is still there"


# Live events


class Spied(Following):
    """Notes what is followed."""

    followed: list[tuple[str, str]]

    async def follow(
        self, access: Access, call_id: str, after: int = -1
    ) -> AsyncGenerator[CallEvent | None, None]:
        self.followed.append((access.company_id, call_id))
        async for event in super().follow(access, call_id, after):
            yield event


async def test_nobody_follows_the_calls_of_others(here: World) -> None:
    spied = Spied(here.site.store, PACE)
    spied.followed = []
    here.site.app.state.platform = replace(here.site.app.state.platform, following=spied)
    calls = here.theirs.ids["call_id"]
    for call in calls:
        for who in here.ours.bearers:
            refused = await get(here, here.ours, f"/calls/{call}/events", who)
            assert refused.status_code == 404
            assert refused.headers["content-type"] == "application/problem+json"
    assert spied.followed == []
    for call in calls:
        stream = await get(here, here.theirs, f"/calls/{call}/events", "agent")
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert f"What is a visit to {MARKER}?" in stream.text
    assert len(spied.followed) == len(calls)


async def test_a_call_of_ours_that_is_named_like_one_of_theirs_shows_ours(here: World) -> None:
    """The name is the carrier's: two carriers may give the same."""
    name = call_of(here.theirs)
    (record,) = await here.site.store.documents.find(CALLS, here.theirs.id, {"call_id": name}, Page())
    ours = record.model_copy(
        update={"id": "0-ours", "company_id": here.ours.id, "called": "us", "end_reason": "", "agent_id": "a"}
    )
    await here.site.store.documents.insert(CALLS, ours)
    for tail in ("", "/transcript", "/transcript?format=txt", "/recording", "/events"):
        shown = await get(here, here.ours, f"/calls/{name}{tail}")
        assert shown.status_code == (404 if tail == "/recording" else 200), shown.text
        # The number of the caller was given to both.
        assert here.seen(shown, [name, *here.theirs.ids["number"]]) == [], tail
        assert here.seen(await get(here, here.theirs, f"/calls/{name}{tail}"), [name])


# Recordings


def call_of(firm: Firm) -> str:
    """The carrier's name of a call that was recorded."""
    return firm.ids["call_id"][1]


def ways_round(here: World) -> dict[str, str]:
    """Names that lead from our folder to the recording of a call of theirs, and what each one is."""
    theirs, folder = f"{here.theirs.id}/{call_of(here.theirs)}", here.folder / "recordings"
    return {
        "up and over": f"../{theirs}",
        "from the root": f"{folder}/{theirs}",
        "with a dot": f"./../{theirs}",
        "by the folder": f"../../recordings/{theirs}",
    }


ENCODINGS: dict[str, Callable[[str], str]] = {
    "once": lambda name: quote(name, safe="").replace(".", "%2E"),
    "twice": lambda name: quote(quote(name, safe=""), safe=""),
    "slashes": lambda name: quote(name, safe="."),
    "backslashes": lambda name: quote(name.replace("/", "\\"), safe=""),
}


async def test_no_way_leads_to_the_recording_of_others(here: World) -> None:
    for how, encode in ENCODINGS.items():
        own = await get(here, here.ours, f"/calls/{encode(call_of(here.ours))}/recording")
        assert own.status_code == 200, how
        for way, name in ways_round(here).items():
            for call in (name, f"{name}.wav", f"{name}\0"):
                for tail in ("/recording", "/transcript", "/events", ""):
                    response = await get(here, here.ours, f"/calls/{encode(call)}{tail}")
                    assert response.status_code in (403, 404, 422), (how, way, call, tail)
                    assert b"RIFF" not in response.content
    theirs = await get(here, here.theirs, f"/calls/{call_of(here.theirs)}/recording")
    assert MARKER.encode() in theirs.content


async def test_a_carrier_cannot_name_a_call_so_that_it_leads_there(here: World) -> None:
    recordings, folder = Recordings(here.folder / "recordings"), here.folder / "recordings" / here.ours.id
    (one, *_) = await here.site.store.documents.find(CALLS, here.ours.id, {}, Page())
    for number, (way, name) in enumerate(ways_round(here).items()):
        record = one.model_copy(update={"id": f"0-evil{number}", "call_id": name, "caller": "+15550666"})
        await here.site.store.documents.insert(CALLS, record)
        assert (folder / f"{name}.wav").is_file(), f"{way}: there it would be"
        response = await get(here, here.ours, f"/calls/{record.id}/recording")
        assert response.status_code == 403, way
        assert b"RIFF" not in response.content
        for company, call in (
            (here.ours.id, name),
            (f"../recordings/{here.theirs.id}", call_of(here.theirs)),
        ):
            with pytest.raises(ParleyError, match="cannot name a recording"):
                recordings.path(company, call)
    headers = {"Authorization": f"Bearer {here.ours.bearers['owner']}"}
    await here.site.client.delete(f"/companies/{here.ours.id}/callers/+15550666", headers=headers)
    assert recordings.path(here.theirs.id, call_of(here.theirs)).is_file(), "nor is it deleted through us"


# Spoken phrases


SPOKEN = f"Welcome to {MARKER}."
AUDIO = b"the voice that says so"


async def phrases(folder: Path) -> PhraseCache:
    """One cache for all companies, in which theirs had something said."""

    async def make() -> bytes:
        return AUDIO

    cache = PhraseCache(1000, folder)
    await cache.get(PhraseKey("joe@1", 1.0, "en", SPOKEN), make)
    await cache.written()
    return cache


@pytest.mark.parametrize("where", ["memory", "disk"])
async def test_a_spoken_phrase_is_had_for_its_exact_words_alone(tmp_path: Path, where: str) -> None:
    cache = await phrases(tmp_path)
    if where == "disk":
        cache = PhraseCache(1000, tmp_path)

    async def refuse() -> bytes:
        raise ProviderUnavailable("made anew")

    exact = PhraseKey("joe@1", 1.0, "en", SPOKEN)
    guesses = [
        replace(exact, text=text) for text in ("", "*", MARKER, SPOKEN[:-1], SPOKEN.upper(), f"{SPOKEN} ")
    ]
    others = [replace(exact, voice="joe@2"), replace(exact, speed=1.1), replace(exact, language="de")]
    for key in guesses + others:
        with pytest.raises(ProviderUnavailable, match="made anew"):
            await cache.get(key, refuse)
    assert await cache.get(exact, refuse) == (AUDIO, True), "who knows the words has nothing to learn from it"


async def test_the_phrases_are_not_listed(tmp_path: Path) -> None:
    cache = await phrases(tmp_path)
    public = {name for name, _ in inspect.getmembers(type(cache)) if not name.startswith("_")}
    assert public == {"bytes_in_memory", "close", "get", "written"}, "none of them gives keys away"
    with pytest.raises(TypeError):
        iter(cache)  # type: ignore[call-overload]
    (file,) = await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
    assert MARKER not in file.name
    assert MARKER.encode() not in file.read_bytes()


async def test_no_route_gives_a_spoken_phrase_away(here: World) -> None:
    await phrases(here.folder / "phrases")
    (file,) = (here.folder / "phrases").iterdir()
    name = f"../../phrases/{file.name}"
    assert (here.folder / "recordings" / here.ours.id / name).is_file(), "there the way would lead"
    asked = 0
    for operation in operations(here.site.app):
        if operation.method != "GET":
            continue
        for value in (None, file.name, file.stem, name, SPOKEN):
            path = here.ours.path(operation.path_names)
            if value is not None:
                path |= {parameter: value for parameter in operation.path_names if parameter != "company_id"}
            response = await here.ask(here.ours.bearers["owner"], operation, path)
            assert AUDIO not in response.content, (operation, value)
            asked += response.is_success
    assert asked > 40


# Logs


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What all loggers say at INFO, set up as in a process of the server."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter(logs.FORMAT))
    root, client, *ours = (logging.getLogger(name) for name in ("", "httpx", *logs.OURS))
    before = [(one, one.handlers[:], one.level, one.propagate) for one in (root, client, *ours)]
    for logger in ours:
        logger.handlers.clear()
    logs.set_up_logging()
    for logger in (root, *ours):
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    client.setLevel(logging.WARNING)  # the test's own, and no part of a server
    yield written
    for logger, handlers, level, propagate in before:
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


class Down(Library):
    """The knowledge application while it does not answer."""

    async def search(self, company_id: str, query: str, limit: int) -> Sequence[Passage]:
        raise ProviderUnavailable("the knowledge application does not answer", provider="knowledge")


class Asked:
    """Requests of theirs, one by one, and what must not be in the log of them."""

    def __init__(self, here: World, log: io.StringIO) -> None:
        self._here, self._log, self._sent = here, log, 0
        self.secret = {PASSWORD, *here.theirs.bearers.values()}

    async def __call__(self, who: str, method: str, path: str, status: int, **options: Any) -> Any:
        self._sent += 1
        headers = {"Authorization": f"Bearer {self._here.theirs.bearers[who]}"} if who else {}
        response = await self._here.site.client.request(method, path, headers=headers, **options)
        assert response.status_code == status, response.text
        return response.json() if "json" in response.headers.get("content-type", "") else response.text

    def logged(self) -> list[str]:
        """What of it is in the log, in which there is a line for each request."""
        log = self._log.getvalue()
        assert log.count(" INFO parley.access: ") == self._sent > 0
        return sorted(one for one in self.secret if one in log)


async def test_no_password_and_no_session_is_logged(here: World, log: io.StringIO) -> None:
    ask, base, email = Asked(here, log), f"/companies/{here.theirs.id}", here.theirs.unique["email"]
    wrong, new = "a wrong password", "another long one"

    def login(password: object) -> dict[str, object]:
        return {"json": {"email": email, "password": password}}

    await ask("", "POST", "/auth/login", 401, **login(wrong))
    await ask("", "POST", "/auth/login", 422, **login([wrong]))
    session = (await ask("", "POST", "/auth/login", 200, **login(PASSWORD)))["session"]
    refresh = {"json": {"refresh_token": session["refresh_token"]}}
    fresh = await ask("", "POST", "/auth/refresh", 200, **refresh)
    await ask("", "POST", "/auth/refresh", 401, **refresh)
    link = (await ask("owner", "POST", f"{base}/users/{here.theirs.ids['user_id'][0]}/reset", 201))["token"]
    await ask("", "POST", "/auth/password/reset", 200, json={"token": link, "password": new})
    await ask("", "POST", "/auth/password/reset", 401, json={"token": link, "password": new})
    for one in (session, fresh):
        ask.secret |= {one["access_token"], one["refresh_token"]}
    ask.secret |= {wrong, new, link}
    assert ask.logged() == []


async def test_no_secret_is_logged_where_it_does_not_belong(here: World, log: io.StringIO) -> None:
    ask, base, agent = Asked(here, log), f"/companies/{here.theirs.id}", here.theirs.ids["agent_id"][0]
    key = (await ask("owner", "POST", f"{base}/api-keys", 201, json={"name": "robot"}))["secret"]
    link = (await ask("owner", "POST", f"{base}/users/{here.theirs.ids['user_id'][0]}/reset", 201))["token"]
    body = {"email": here.theirs.unique["email"], "password": PASSWORD}
    session = (await ask("", "POST", "/auth/login", 200, json=body))["session"]
    url = (await ask("owner", "POST", f"{base}/agents/{agent}/test-call", 201))["url"]
    media = url.rsplit("/", 1)[1]
    ask.secret |= {key, link, media, session["access_token"], session["refresh_token"]}
    await ask("owner", "DELETE", f"{base}/api-keys/{key}", 404)
    await ask("owner", "GET", f"{base}/users/{link}", 404)
    await ask("owner", "GET", f"{base}/users/{session['refresh_token']}", 404)
    await ask("owner", "GET", f"{base}/users/{session['access_token']}", 422)
    await ask("", "GET", f"{base}/calls?access_token={key}", 401)
    await ask("", "GET", f"http://parley.test/media/{media}", 404)
    assert ask.logged() == []


async def test_no_callers_number_is_logged(here: World, log: io.StringIO) -> None:
    ask, base = Asked(here, log), f"/companies/{here.theirs.id}"
    (number,) = here.theirs.ids["number"]
    digits = number.removeprefix("+")
    ask.secret |= {digits[1:]}
    listed = {"caller": number}
    assert number in str(await ask("agent", "GET", f"{base}/calls", 200, params=listed))
    once, twice = quote(number, safe=""), quote(quote(number, safe=""), safe="")
    for written, status in (
        (number, 200),
        (once, 200),
        (f"{digits}/", 307),
        (f"{once}/recording", 404),
        (twice, 422),
        (f"%0A{digits}", 422),
    ):
        await ask("owner", "DELETE", f"{base}/callers/{written}", status)
    for written, status in ((once, 422), (twice, 422), (digits, 404), (f"{digits}/events", 404)):
        await ask("owner", "GET", f"{base}/calls/{written}", status)
    await ask("owner", "DELETE", f"{base}/numbers/{once}", 422)
    await ask("", "POST", f"http://parley.test/telephony/twilio/voice/{once}", 404)
    assert ask.logged() == []


async def test_nothing_that_was_said_or_written_is_logged(here: World, log: io.StringIO) -> None:
    ask, base = Asked(here, log), f"/companies/{here.theirs.id}"
    said, written, looked_for = (
        f"What is a visit to {MARKER}?",
        "the text of a document",
        "what is looked for",
    )
    for tail in ("", "/transcript", "/transcript?format=txt", "/transcript?format=vtt", "/events"):
        told = await ask("agent's key", "GET", f"{base}/calls/{call_of(here.theirs)}{tail}", 200)
        assert said in str(told)
    document = {"content": written.encode()}
    await ask("manager's key", "PUT", f"{base}/documents/by-name/a.txt", 202, **document)
    await ask("manager's key", "PUT", f"{base}/documents/by-name/a.exe", 422, **document)
    query = {"json": {"query": looked_for}}
    assert looked_for in str(await ask("agent", "POST", f"{base}/search", 200, **query))
    down = Knowledge(here.site.store, here.folder, Down())
    here.site.app.state.platform = replace(here.site.app.state.platform, knowledge=down)
    await ask("agent", "POST", f"{base}/search", 503, **query)
    assert " ERROR engine.api.problems: request" in log.getvalue(), "failures are told"
    ask.secret |= {said, f"At {MARKER} it is 85.", written, looked_for}
    assert ask.logged() == []

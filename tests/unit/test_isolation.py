"""Every route x role x foreign id: nothing of another company is seen, and nothing of it changes.

All requests are made from the OpenAPI document: a route that is new in it is walked, and fails
`test_who_may_what` until `LEAST` says who may use it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import HTTPException, Response
from fastapi.responses import JSONResponse
from fastapi.routing import iter_route_contexts

from engine.api.v1.common import Asking, Manager, Reader, Using
from engine.store.documents import AGENTS, CALLS, Page
from models import Role
from tests.unit.isolation_world import ADMIN, NOBODY, World, world
from tests.unit.openapi_routes import Operation, operations

REFUSED = {401, 403, 404}
CONFLICTS = REFUSED | {409, 422}
NAMES = {"name", "number", "vendor"}
"""Parameters that are no ids: two companies may have a file of one name, or a caller of one number."""
HIDDEN = {"/openapi.json", "/docs", "/docs/oauth2-redirect", "/talk", "/talk/{name}"}
"""Not in the document; they know of no company."""

ANYBODY, AGENT, MANAGER, OWNER = "anybody", "agent", "manager", "owner"
C = "/companies/{company_id}"
LEAST = {
    "GET /": ANYBODY,
    "GET /health": ANYBODY,
    "GET /ready": ANYBODY,
    "GET /talk/welcome": ANYBODY,
    "POST /talk/session": ANYBODY,
    "POST /telephony/twilio/voice": ANYBODY,
    "POST /telephony/twilio/action": ANYBODY,
    "POST /auth/register": ANYBODY,
    "POST /auth/login": ANYBODY,
    "POST /auth/refresh": ANYBODY,
    "POST /auth/logout": ANYBODY,
    "POST /auth/password/reset": ANYBODY,
    "GET /auth/me": AGENT,
    "POST /auth/password": AGENT,
    "GET /voices": AGENT,
    "GET /metrics": ANYBODY,
    "GET /providers": ADMIN,
    "POST /providers/check": ADMIN,
    f"POST {C}/calls/{{call_id}}/end": MANAGER,
    "GET /companies": AGENT,
    "POST /companies": ADMIN,
    f"GET {C}": AGENT,
    f"PATCH {C}": OWNER,
    f"DELETE {C}": ADMIN,
    f"GET {C}/users": MANAGER,
    f"POST {C}/users": OWNER,
    f"GET {C}/users/{{user_id}}": MANAGER,
    f"PATCH {C}/users/{{user_id}}": OWNER,
    f"DELETE {C}/users/{{user_id}}": OWNER,
    f"POST {C}/users/{{user_id}}/reset": OWNER,
    f"GET {C}/api-keys": OWNER,
    f"POST {C}/api-keys": OWNER,
    f"DELETE {C}/api-keys/{{key_id}}": OWNER,
    f"GET {C}/provider-keys": OWNER,
    f"PUT {C}/provider-keys/{{vendor}}": OWNER,
    f"DELETE {C}/provider-keys/{{vendor}}": OWNER,
    f"GET {C}/agents": AGENT,
    f"POST {C}/agents": MANAGER,
    f"GET {C}/agents/{{agent_id}}": AGENT,
    f"PATCH {C}/agents/{{agent_id}}": MANAGER,
    f"DELETE {C}/agents/{{agent_id}}": MANAGER,
    f"POST {C}/agents/{{agent_id}}/publish": MANAGER,
    f"POST {C}/agents/{{agent_id}}/unpublish": MANAGER,
    f"POST {C}/agents/{{agent_id}}/test-call": MANAGER,
    f"GET {C}/numbers": AGENT,
    f"POST {C}/numbers": MANAGER,
    f"PATCH {C}/numbers/{{number_id}}": MANAGER,
    f"DELETE {C}/numbers/{{number_id}}": MANAGER,
    f"GET {C}/documents": AGENT,
    f"PUT {C}/documents/by-name/{{name}}": MANAGER,
    f"GET {C}/documents/{{document_id}}": AGENT,
    f"DELETE {C}/documents/{{document_id}}": MANAGER,
    f"POST {C}/documents/{{document_id}}/reprocess": MANAGER,
    f"POST {C}/search": AGENT,
    f"GET {C}/calls": AGENT,
    f"GET {C}/calls/{{call_id}}": AGENT,
    f"GET {C}/calls/{{call_id}}/transcript": AGENT,
    f"GET {C}/calls/{{call_id}}/recording": AGENT,
    f"GET {C}/calls/{{call_id}}/events": AGENT,
    f"GET {C}/analytics": AGENT,
    f"DELETE {C}/callers/{{number}}": OWNER,
}
PEOPLE_ONLY = {"GET /auth/me", "POST /auth/password"}
"""A key has no account."""


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as one:
        yield one


def paths(here: World, operation: Operation) -> Iterator[tuple[dict[str, str], set[str]]]:
    """Values for the path in which at least one is foreign, and which ones are."""
    choices = [
        [(name, here.ours.values(name)[0], False), *((name, one, True) for one in here.theirs.values(name))]
        for name in operation.path_names
    ]
    for chosen in product(*choices):
        foreign = {name for name, _, is_foreign in chosen if is_foreign}
        if foreign:
            yield {name: value for name, value, _ in chosen}, foreign


def at_home(here: World, operation: Operation) -> list[dict[str, str]]:
    """Values for the path that are all foreign: what their own people ask for."""
    return [path for path, foreign in paths(here, operation) if foreign == set(operation.path_names)]


async def walk(here: World, routes: Iterable[Operation]) -> list[str]:
    """What is wrong with the answers to requests for foreign things, by everybody of ours.

    They have to look as if these things were not there.
    """
    faults = []
    for operation in routes:
        before, ids = here.stored(), set(operation.path_names) - NAMES
        for path, foreign in paths(here, operation):
            absent = path | {name: "nothing" for name in foreign & ids}
            for who, bearer in here.bearers(here.ours).items():
                if who == ADMIN and ids <= foreign:
                    continue  # at work in their company, as admins may
                options = operation.options(here.ours.first())
                response = await here.ask(bearer, operation, path, **options)
                if foreign & ids:
                    nothing = await here.ask(bearer, operation, absent, **options)
                    if response.status_code not in REFUSED or told(response, path) != told(nothing, absent):
                        faults.append(f"{operation} {path} as {who}: {response.status_code}")
                if seen := here.seen(response, path.values()):
                    faults.append(f"{operation} {path} as {who} shows {seen}")
        if here.stored() != before:
            faults.append(f"{operation} changes what is theirs")
    return faults


def told(response: httpx.Response, path: Mapping[str, str]) -> tuple[int, str]:
    """Status and words of an answer, without what was asked for."""
    problem = response.headers.get("content-type") == "application/problem+json"
    words = response.json().get("detail", "") if problem else ""
    for value in path.values():
        words = words.replace(value, "")
    return response.status_code, words


async def search(here: World, routes: Iterable[Operation]) -> list[str]:
    """What is wrong with the answers to GET requests about ours, whose queries name foreign things."""
    faults = []
    for operation in reading(routes):
        path = here.ours.path(operation.path_names)
        for query in queries(here, operation):
            for who, bearer in here.bearers(here.ours).items():
                if who == ADMIN and not path:
                    continue  # all companies are what an admin has
                if query and who not in (OWNER, ADMIN):
                    continue  # what a query finds is the same for all who may ask
                response = await here.ask(bearer, operation, path, params=query)
                if seen := here.seen(response, [*path.values(), *query.values()]):
                    faults.append(f"{operation} {query} as {who} shows {seen}")
    return faults


def reading(routes: Iterable[Operation]) -> list[Operation]:
    return [one for one in routes if one.method == "GET"]


def queries(here: World, operation: Operation) -> Iterator[dict[str, str]]:
    """No query, and one for each thing of theirs in each parameter that may name one."""
    yield {}
    for name in operation.query_names:
        yield from ({name: value} for value in here.theirs.values(name))


async def test_nothing_foreign_is_seen_or_changed(here: World) -> None:
    assert await walk(here, operations(here.site.app)) == []


async def test_no_query_finds_anything_foreign(here: World) -> None:
    assert await search(here, operations(here.site.app)) == []


async def test_no_body_takes_anything_foreign(here: World) -> None:
    foreign = here.theirs.first() | here.theirs.unique
    before, tried = here.stored(), set()
    for operation in operations(here.site.app):
        path = here.ours.path(operation.path_names)
        for name in (operation.body_names() & set(foreign)) - {"name"}:
            tried.add(name)
            for who, bearer in here.bearers(here.ours).items():
                options = operation.options({name: foreign[name]})
                response = await here.ask(bearer, operation, path, **options)
                assert response.status_code in CONFLICTS, (operation, who, response.text)
                assert here.seen(response, [*path.values(), foreign[name]]) == []
    assert here.stored() == before
    assert tried == {"agent_id", "call_id", "email", "number"}


# That they would notice


async def test_each_thing_is_seen_by_its_own_people(here: World) -> None:
    shown = 0
    for operation in reading(operations(here.site.app)):
        for path in at_home(here, operation):
            for bearer in (here.theirs.bearers["owner"], here.admin):
                response = await here.ask(bearer, operation, path)
                assert response.status_code == 200, (operation, path, response.text)
                assert here.seen(response, path.values()), (operation, path)
                shown += 1
    assert shown > 40


async def test_each_query_finds_something_for_its_own_people(here: World) -> None:
    for operation in reading(operations(here.site.app)):
        path = here.theirs.path(operation.path_names)
        for name in operation.query_names:
            found = 0
            for value in here.theirs.values(name):
                query = {name: value}
                response = await here.ask(here.theirs.bearers["owner"], operation, path, params=query)
                found += bool(here.seen(response, [*path.values(), value]))
            assert found, (operation, name)


async def test_each_change_is_possible_for_its_own_people(here: World) -> None:
    """So what was refused was refused for being foreign, and not for how it was asked."""
    changes = [one for one in operations(here.site.app) if one.method != "GET" and one.path_names]
    for operation in sorted(changes, key=lambda one: (one.method == "DELETE", -len(one.path))):
        bearer = here.admin if LEAST[short(operation)] == ADMIN else here.theirs.bearers["owner"]
        before = here.stored()
        options = operation.options(here.theirs.path(["agent_id"]))
        path = here.theirs.path(operation.path_names)
        response = await here.ask(bearer, operation, path, **options)
        assert response.status_code not in CONFLICTS - {409}, (operation, response.text)
        assert response.is_success or here.stored() == before, operation


async def test_a_new_route_that_leaks_is_noticed(here: World) -> None:
    app = here.site.app
    company = "/api/v1/companies/{company_id}"

    @app.get(f"{company}/one/{{agent_id}}")
    async def one(using: Using, access: Reader, agent_id: str) -> Any:
        return await using.store.documents.get(AGENTS, here.theirs.id, agent_id)

    @app.get(f"{company}/header/{{gadget_id}}")
    async def header(access: Reader, gadget_id: str) -> Response:
        return JSONResponse({}, 404, {"X-Owner": here.theirs.id})

    @app.post(f"{company}/write/{{agent_id}}")
    async def write(using: Using, access: Manager, agent_id: str) -> Response:
        await using.store.unpublish_agent(here.theirs.id, agent_id)
        raise HTTPException(404)

    @app.get("/api/v1/door/{company_id}")
    async def door(using: Using, asking: Asking, company_id: str) -> Any:
        return await using.store.company(company_id)

    @app.get(f"{company}/filter")
    async def listed(using: Using, access: Reader, gadget: str = "") -> Any:
        found = await using.store.documents.find(CALLS, here.theirs.id, {}, Page())
        return [call for call in found if call.agent_id == gadget]

    app.openapi_schema = None
    new = [one for one in operations(app) if short(one) not in LEAST]
    shown = {fault.split(" {")[0] for fault in await walk(here, new)}
    leaks = {f"GET {company}/one/", f"GET {company}/header/", f"POST {company}/write/", "GET /api/v1/door/"}
    assert {route.rsplit("/", 1)[0] + "/" for route in shown} == leaks
    shown = {fault.split(" {")[0] for fault in await search(here, new)}
    assert f"GET {company}/filter" in shown


# Roles


def short(operation: Operation) -> str:
    return f"{operation.method} {operation.path.removeprefix('/api/v1')}"


async def allowed(here: World) -> dict[str, set[str]]:
    """Each route -> who is let in, in their own company, to things that do not exist."""
    return {short(operation): await _let_in(here, operation) for operation in operations(here.site.app)}


async def _let_in(here: World, operation: Operation) -> set[str]:
    path = {name: "nothing" for name in operation.path_names} | {"company_id": here.ours.id}
    answers: dict[str, tuple[int, str]] = {}
    for who, bearer in here.bearers(here.ours).items():
        response = await here.ask(bearer, operation, path, **operation.options({}))
        assert who == ADMIN or not here.seen(response, ()), operation
        answers[who] = told(response, path)
    nobodys = answers[NOBODY]
    if set(answers.values()) == {nobodys}:
        return set(answers)
    assert nobodys[0] == 401, (operation, answers)
    return {who for who, answer in answers.items() if answer != nobodys and answer[0] != 403}


def expected(route: str, least: str) -> set[str]:
    """Roles from the least one on, and keys of these roles."""
    people = {role.value for role in Role if least == ANYBODY or role.can(Role(least))}
    keys = {f"{role}'s key" for role in people & {AGENT, MANAGER}} if route not in PEOPLE_ONLY else set()
    return people | keys | ({NOBODY} if least == ANYBODY else set())


async def test_who_may_what(here: World) -> None:
    assert await allowed(here) == {route: expected(route, least) for route, least in LEAST.items()}


def test_no_route_is_kept_out_of_the_document(here: World) -> None:
    hidden = {one.path for one in iter_route_contexts(here.site.app.routes) if not one.include_in_schema}
    assert hidden == HIDDEN

"""Sessions, links and counts where two things happen at once; who counts as the sender."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from starlette.requests import HTTPConnection

from engine.api.origin import client_address
from engine.config import Settings
from engine.services.access import NotSignedIn, TooMany
from engine.services.auth import Auth, Registration
from engine.services.passwords import hash_password, is_password
from engine.store.documents import API_KEYS, REFRESH_TOKENS, RESET_TOKENS, USERS, Collection, D, Page
from models import User
from tests.unit.api_client import PASSWORD, Site, Someone

ANN = "ann@acme.example.com"
OTHER_PASSWORD = "another long one"


async def login(site: Site, email: str, password: str, forwarded_for: str = "") -> httpx.Response:
    headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
    body = {"email": email, "password": password}
    return await site.client.post("/auth/login", json=body, headers=headers)


async def link(owner: Someone, user_id: str) -> str:
    """The token of a reset."""
    token: str = (await owner.made("POST", f"{owner.base}/users/{user_id}/reset"))["token"]
    return token


async def stored(site: Site, someone: Someone) -> User:
    user = await site.store.documents.get(USERS, someone.company, someone.user)
    assert user is not None
    return user


def service(site: Site) -> Auth:
    found: Auth = site.app.state.platform.auth
    return found


async def test_of_many_guesses_at_once_no_more_pass_than_one_after_another(site: Site) -> None:
    await site.register("acme")
    answers = await asyncio.gather(*(login(site, ANN, "a wrong password") for _ in range(24)))
    assert sorted(answer.status_code for answer in answers) == [401] * 8 + [429] * 16


async def test_who_signs_in_often_is_not_locked_out(site: Site) -> None:
    await site.register("acme")
    assert {(await login(site, ANN, PASSWORD)).status_code for _ in range(20)} == {200}


async def test_an_unknown_sender_is_not_everybody(site: Site) -> None:
    await site.register("acme")
    for number in range(41):
        await login(site, f"n{number}@acme.example.com", "x" * 10, f"198.51.100.{number}")
    assert (await login(site, ANN, PASSWORD)).status_code == 200


async def test_a_sender_whom_a_trusted_proxy_names_is_counted(site: Site) -> None:
    config = site.app.state.platform.settings.model_copy(update={"trusted_proxies": ("127.0.0.1",)})
    behind = Site(site.store, config)
    await behind.register("acme")
    guesses = [
        await login(behind, f"n{number}@acme.example.com", "x" * 10, "198.51.100.7") for number in range(41)
    ]
    assert [guess.status_code for guess in guesses] == [401] * 40 + [429]
    assert (await login(behind, ANN, PASSWORD, "198.51.100.7")).status_code == 429
    assert (await login(behind, ANN, PASSWORD, "198.51.100.8")).status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.1", "2001:DB8::1", "2001:db8::1"),
        ("10.0.0.1", "203.0.113.9, unknown", None),
        ("10.0.0.1", "", None),
        ("198.51.100.1", "203.0.113.9", None),
        (None, "203.0.113.9", None),
    ],
)
def test_the_sender_is_whom_the_last_trusted_proxy_names(
    peer: str | None, forwarded: str, address: str | None
) -> None:
    headers = [(b"x-forwarded-for", forwarded.encode())]
    scope = {"type": "http", "client": peer and (peer, 5555), "headers": headers}
    config = Settings(_env_file=None, trusted_proxies=("10.0.0.0/8",))
    assert client_address(HTTPConnection(scope), config) == address


async def test_a_new_password_voids_all_links_to_set_one(site: Site) -> None:
    owner = await site.register("acme")
    agent = await site.invite(owner, "agent")
    first, second = [await link(owner, agent.user) for _ in range(2)]
    body = {"token": second, "password": OTHER_PASSWORD}
    assert (await site.client.post("/auth/password/reset", json=body)).status_code == 200
    for token in (first, second):
        stale = {"token": token, "password": "a thief's password"}
        assert (await site.client.post("/auth/password/reset", json=stale)).status_code == 401
    assert not await site.store.documents.find(RESET_TOKENS, owner.company, {"user_id": agent.user}, Page())


async def test_a_refused_password_does_not_use_the_link_up(site: Site) -> None:
    owner = await site.register("acme")
    body = {"token": await link(owner, owner.user), "password": "short"}
    assert (await site.client.post("/auth/password/reset", json=body)).status_code == 422
    body["password"] = OTHER_PASSWORD
    assert (await site.client.post("/auth/password/reset", json=body)).status_code == 200


async def test_who_is_switched_off_gets_no_session_by_a_link(site: Site) -> None:
    owner = await site.register("acme")
    agent = await site.invite(owner, "agent")
    body = {"token": await link(owner, agent.user), "password": OTHER_PASSWORD}
    update = {"version": (await stored(site, agent)).version, "active": False}
    await owner.made("PATCH", f"{owner.base}/users/{agent.user}", json=update)
    refused = await site.client.post("/auth/password/reset", json=body)
    assert (refused.status_code, "switched off" in refused.json()["detail"]) == (401, True)


async def test_a_refused_new_password_is_named_as_the_request_names_it(site: Site) -> None:
    owner = await site.register("acme")
    body = {"old_password": PASSWORD, "new_password": "short"}
    response = await owner.ask("POST", "/auth/password", json=body)
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"] == ["body", "new_password"]


async def test_an_access_token_is_void_from_the_moment_of_a_new_password(site: Site) -> None:
    owner = await site.register("acme")
    body = {"old_password": PASSWORD, "new_password": OTHER_PASSWORD}
    session = await owner.made("POST", "/auth/password", json=body)
    assert (await owner.ask("GET", "/auth/me")).status_code == 401, "though it is of the same second"
    owner.session = session
    assert (await owner.ask("GET", "/auth/me")).status_code == 200


@pytest.mark.parametrize("which", ["family", "user_id"])
async def test_a_session_that_ends_while_it_is_refreshed_is_over(
    site: Site, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    owner, auth = await site.register("acme"), service(site)
    (first,) = await site.store.documents.find(REFRESH_TOKENS, owner.company, {}, Page())
    look = auth._refuse_inactive

    async def ended_meanwhile(user: User) -> None:
        await look(user)
        await auth._revoke(owner.company, {which: getattr(first, which)})

    monkeypatch.setattr(auth, "_refuse_inactive", ended_meanwhile)
    with pytest.raises(NotSignedIn, match="over"):
        await auth.refresh(owner.session["refresh_token"])
    assert not await site.store.documents.find(REFRESH_TOKENS, owner.company, {}, Page())


async def test_a_login_with_the_old_password_does_not_outlive_its_change(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, auth = await site.register("acme"), service(site)

    async def changed_meanwhile(password: str, hashed: str | None) -> bool:
        right = await is_password(password, hashed)
        await auth._set_password(await stored(site, owner), await hash_password(OTHER_PASSWORD))
        return right

    monkeypatch.setattr("engine.services.auth.is_password", changed_meanwhile)
    assert (await login(site, ANN, PASSWORD)).status_code == 401
    assert not await site.store.documents.find(REFRESH_TOKENS, owner.company, {}, Page())


async def test_of_two_uses_of_a_refresh_token_at_once_no_session_is_left(site: Site) -> None:
    owner = await site.register("acme")
    body = {"refresh_token": owner.session["refresh_token"]}
    answers = await asyncio.gather(*(site.client.post("/auth/refresh", json=body) for _ in range(6)))
    assert [answer.status_code for answer in answers].count(200) <= 1
    assert not await site.store.documents.find(REFRESH_TOKENS, owner.company, {}, Page())


async def test_a_key_in_use_is_revoked_all_the_same(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = await site.register("acme")
    made = await owner.made("POST", f"{owner.base}/api-keys", json={"name": "robot"})
    key_id, documents = made["key"]["id"], site.store.documents
    write, uses = documents.replace, iter([True])

    async def used_meanwhile(collection: Collection[D], document: D) -> D:
        if collection is API_KEYS and next(uses, False):
            key = await documents.get(API_KEYS, owner.company, key_id)
            assert key is not None
            await write(API_KEYS, key)
        return await write(collection, document)

    monkeypatch.setattr(documents, "replace", used_meanwhile)
    await owner.made("DELETE", f"{owner.base}/api-keys/{key_id}")
    key = await documents.get(API_KEYS, owner.company, key_id)
    assert key is not None
    assert key.revoked


async def test_a_sender_registers_only_so_many_companies(site: Site) -> None:
    auth = site.app.state.platform.auth
    for number in range(11):
        asked = Registration("Acme", "Ann", f"ann{number}@acme.example.com", PASSWORD)
        if number < 10:
            await auth.register(asked, "203.0.113.7")
        else:
            with pytest.raises(TooMany):
                await auth.register(asked, "203.0.113.7")
    await auth.register(asked, "203.0.113.8")

"""Companies, people, sessions and keys over HTTP."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from engine.services.throttle import Throttle
from engine.store import Store
from engine.store.documents import COMPANIES, REFRESH_TOKENS, USERS, Page
from models import Role, User
from tests.unit.api_client import PASSWORD, Site


async def admin(site: Site, store: Store) -> Any:
    """Somebody of the platform."""
    owner = await site.register("platform")
    user = await store.documents.get(USERS, owner.company, owner.user)
    assert user is not None
    await store.documents.replace(USERS, user.model_copy(update={"role": Role.ADMIN}))
    return owner


async def test_a_company_registers_and_its_owner_is_known(site: Site) -> None:
    owner = await site.register("acme")
    me = await owner.made("GET", "/auth/me")
    assert (me["role"], me["email"], me["invited"]) == ("owner", "ann@acme.example.com", False)
    company = await owner.made("GET", owner.base)
    assert (company["name"], company["status"]) == ("acme", "active")


async def test_an_address_registers_once(site: Site) -> None:
    await site.register("acme")
    body = {"company": "b", "name": "B", "email": "Ann@ACME.example.com", "password": PASSWORD}
    response = await site.client.post("/auth/register", json=body)
    assert response.status_code == 409
    assert response.json()["errors"][0]["where"] == ["body", "email"]
    owner = await site.client.post("/auth/login", json={"email": body["email"], "password": PASSWORD})
    assert owner.status_code == 200, "the first one is as it was"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "ann"}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 73}, "password"),
        ({"company": " "}, "company"),
        ({"name": "a\x00b"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"role": "admin"}, "role"),
        ({"password": 7}, "password"),
    ],
)
async def test_bad_input_names_its_field(site: Site, change: dict[str, Any], field: str) -> None:
    body = {"company": "acme", "name": "Ann", "email": "ann@acme.example.com", "password": PASSWORD}
    response = await site.client.post("/auth/register", json=body | change)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["errors"][0]["where"][:2] == ["body", field]
    assert not await site.store.documents.find(COMPANIES, None, {}, Page()), "nothing is left of it"


async def test_a_session_goes_on_by_its_refresh_token(site: Site) -> None:
    owner = await site.register("acme")
    second = await owner.made("POST", "/auth/refresh", json={"refresh_token": owner.session["refresh_token"]})
    owner.session = second
    assert (await owner.ask("GET", "/auth/me")).status_code == 200


async def test_a_refresh_token_that_is_used_twice_ends_the_session(site: Site) -> None:
    owner = await site.register("acme")
    first = {"refresh_token": owner.session["refresh_token"]}
    second = (await site.client.post("/auth/refresh", json=first)).json()
    assert (await site.client.post("/auth/refresh", json=first)).status_code == 401
    response = await site.client.post("/auth/refresh", json={"refresh_token": second["refresh_token"]})
    assert response.status_code == 401, "the thief's copy and the owner's are both void"


async def test_logout_ends_the_session_and_no_other(site: Site) -> None:
    owner = await site.register("acme")
    body = {"email": "ann@acme.example.com", "password": PASSWORD}
    other = (await site.client.post("/auth/login", json=body)).json()["session"]["refresh_token"]
    mine = {"refresh_token": owner.session["refresh_token"]}
    assert (await site.client.post("/auth/logout", json=mine)).status_code == 204
    assert (await site.client.post("/auth/refresh", json=mine)).status_code == 401
    assert (await site.client.post("/auth/refresh", json={"refresh_token": other})).status_code == 200


async def test_a_changed_password_ends_all_sessions(site: Site) -> None:
    owner = await site.register("acme")
    wrong = {"old_password": "not that one", "new_password": "another long one"}
    assert (await owner.ask("POST", "/auth/password", json=wrong)).status_code == 401
    await owner.made("POST", "/auth/password", json=wrong | {"old_password": PASSWORD})
    old = await site.client.post("/auth/refresh", json={"refresh_token": owner.session["refresh_token"]})
    assert old.status_code == 401
    body = {"email": "ann@acme.example.com", "password": PASSWORD}
    assert (await site.client.post("/auth/login", json=body)).status_code == 401
    body["password"] = "another long one"
    assert (await site.client.post("/auth/login", json=body)).status_code == 200


async def test_who_guesses_is_locked_out(site: Site) -> None:
    await site.register("acme")
    body = {"email": "ann@acme.example.com", "password": "a wrong password"}
    answers = [await site.client.post("/auth/login", json=body) for _ in range(9)]
    assert [answer.status_code for answer in answers] == [401] * 8 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    right = await site.client.post("/auth/login", json=body | {"password": PASSWORD})
    assert right.status_code == 429, "a lock that the right password opens tells who found it"
    stranger = {"email": "nobody@acme.example.com", "password": PASSWORD}
    assert (await site.client.post("/auth/login", json=stranger)).json()["detail"] == answers[0].json()[
        "detail"
    ]


def test_a_lock_opens_by_itself() -> None:
    now = [0.0]
    throttle = Throttle(2, 60.0, lambda: now[0])
    throttle.failed("a")
    now[0] = 30.0
    throttle.failed("a")
    with pytest.raises(Exception, match="try again in 30 s"):
        throttle.check("a")
    throttle.check("b")
    now[0] = 61.0
    throttle.check("a")


@pytest.mark.parametrize(
    "credential",
    ["", "x", "pk_unknown", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c3JfMSJ9.", "\u00e9", "x" * 9000],
)
async def test_nobody_is_let_in(site: Site, credential: str) -> None:
    headers = {b"Authorization": f"Bearer {credential}".encode()}
    response = await site.client.get("/auth/me", headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_media_token_is_no_access_token(site: Site) -> None:
    owner = await site.register("acme")
    secret = site.app.state.platform.settings.signing_secret()
    at = int(time.time())
    claims = {"iss": "parley", "aud": "parley-api", "iat": at, "exp": at + 60}
    forged = jwt.encode(claims | {"sub": owner.user, "company": owner.company}, secret, algorithm="HS256")
    owner.session["access_token"] = forged
    assert (await owner.ask("GET", "/auth/me")).status_code == 401


NEEDS = {
    ("GET", ""): "agent",
    ("PATCH", ""): "owner",
    ("DELETE", ""): "admin",
    ("GET", "/users"): "manager",
    ("POST", "/users"): "owner",
    ("GET", "/users/{user}"): "manager",
    ("PATCH", "/users/{user}"): "owner",
    ("DELETE", "/users/{user}"): "owner",
    ("POST", "/users/{user}/reset"): "owner",
    ("GET", "/api-keys"): "owner",
    ("POST", "/api-keys"): "owner",
    ("DELETE", "/api-keys/{key}"): "owner",
}


@pytest.mark.parametrize(("method", "path"), NEEDS)
async def test_each_role_may_what_it_may_and_a_stranger_nothing(site: Site, method: str, path: str) -> None:
    owner = await site.register("acme")
    colleagues = {role: await site.invite(owner, role) for role in ("agent", "manager")}
    people = colleagues | {"owner": owner}
    stranger = await site.register("other")
    where = owner.base + path.format(user=people["agent"].user, key="key_none")
    for role, person in people.items():
        status = (await person.ask(method, where, json={})).status_code
        may = Role(role).can(Role(NEEDS[method, path]))
        assert (status != 403) == may, (role, status)
    response = await stranger.ask(method, where, json={})
    assert response.status_code in (404, 422)
    foreign = stranger.base + path.format(user=people["agent"].user, key="key_none")
    if "{" in path:
        body = {"version": 1} if method == "PATCH" else None
        assert (await stranger.ask(method, foreign, json=body)).status_code == 404


async def test_nobody_rises_above_themselves(site: Site) -> None:
    owner = await site.register("acme")
    body = {"email": "eve@acme.example.com", "name": "Eve", "role": "admin"}
    assert (await owner.ask("POST", f"{owner.base}/users", json=body)).status_code == 403
    update = {"version": 1, "role": "admin"}
    assert (await owner.ask("PATCH", f"{owner.base}/users/{owner.user}", json=update)).status_code == 403
    key = {"name": "robot", "role": "owner"}
    assert (await owner.ask("POST", f"{owner.base}/api-keys", json=key)).status_code == 403


async def test_a_company_keeps_an_owner(site: Site) -> None:
    owner = await site.register("acme")
    mine = f"{owner.base}/users/{owner.user}"
    for body in ({"version": 1, "role": "agent"}, {"version": 1, "active": False}):
        assert (await owner.ask("PATCH", mine, json=body)).status_code == 409
    assert (await owner.ask("DELETE", mine)).status_code == 409
    await site.invite(owner, "owner")
    assert (await owner.ask("DELETE", mine)).status_code == 204
    assert (await owner.ask("GET", "/auth/me")).status_code == 401


async def test_of_two_changes_of_one_version_the_second_is_refused(site: Site) -> None:
    owner = await site.register("acme")
    await owner.made("PATCH", owner.base, json={"version": 1, "name": "Acme Ltd"})
    response = await owner.ask("PATCH", owner.base, json={"version": 1, "name": "Acme Inc"})
    assert response.status_code == 409
    assert (await owner.made("GET", owner.base))["name"] == "Acme Ltd"


async def test_a_key_opens_what_its_role_may_until_it_is_revoked(site: Site) -> None:
    owner = await site.register("acme")
    made = await owner.made("POST", f"{owner.base}/api-keys", json={"name": "robot", "role": "manager"})
    headers = {"Authorization": f"Bearer {made['secret']}"}
    assert (await site.client.get(f"{owner.base}/users", headers=headers)).status_code == 200
    assert (await site.client.get(f"{owner.base}/api-keys", headers=headers)).status_code == 403
    assert (await site.client.get("/auth/me", headers=headers)).status_code == 403
    (listed,) = (await owner.made("GET", f"{owner.base}/api-keys"))["items"]
    assert listed["last_used_at"] is not None
    assert made["secret"] not in str(listed)
    await owner.made("DELETE", f"{owner.base}/api-keys/{made['key']['id']}")
    assert (await site.client.get(f"{owner.base}/users", headers=headers)).status_code == 401


async def test_the_platform_suspends_and_deletes_companies(site: Site, store: Store) -> None:
    boss, owner = await admin(site, store), await site.register("acme")
    assert (
        await owner.ask("PATCH", owner.base, json={"version": 1, "status": "suspended"})
    ).status_code == 403
    assert (await owner.ask("POST", "/companies", json={"name": "x"})).status_code == 403
    assert (await boss.ask("DELETE", owner.base)).status_code == 409
    await boss.made("PATCH", owner.base, json={"version": 1, "status": "suspended"})
    refused = await owner.ask("GET", owner.base)
    assert (refused.status_code, "suspended" in refused.json()["detail"]) == (403, True)
    await boss.made("DELETE", owner.base)
    assert (await boss.ask("GET", owner.base)).status_code == 404
    assert not await store.documents.find(USERS, owner.company, {}, Page())
    assert not await store.documents.find(REFRESH_TOKENS, owner.company, {}, Page())
    await site.register("acme")


async def test_registration_can_be_closed(store: Store, site: Site) -> None:
    settings = site.app.state.platform.settings.model_copy(update={"registration": "closed"})
    closed = Site(store, settings)
    body = {"company": "acme", "name": "Ann", "email": "ann@acme.example.com", "password": PASSWORD}
    assert (await closed.client.post("/auth/register", json=body)).status_code == 403


async def test_lists_come_in_pages(site: Site) -> None:
    owner = await site.register("acme")
    for role in ("agent", "manager"):
        await site.invite(owner, role)
    first = await owner.made("GET", f"{owner.base}/users", params={"limit": 2})
    second = await owner.made("GET", f"{owner.base}/users", params={"limit": 2, "cursor": first["next"]})
    assert [user["name"] for user in first["items"] + second["items"]] == ["manager", "agent", "Ann"]
    assert second["next"] is None
    for bad in ({"limit": 0}, {"limit": 201}, {"cursor": "a b"}, {"cursor": "'; drop"}):
        assert (await owner.ask("GET", f"{owner.base}/users", params=bad)).status_code == 422


async def test_no_secret_is_in_an_answer_or_a_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    owner = await site.register("acme")
    users = (await owner.ask("GET", f"{owner.base}/users")).text
    stored = await site.store.documents.get(USERS, owner.company, owner.user)
    assert isinstance(stored, User)
    assert stored.password_hash
    for secret in (stored.password_hash, "hash", PASSWORD):
        assert secret not in users
    for secret in (PASSWORD, *owner.session.values()):
        assert str(secret) not in caplog.text or secret in ("Bearer", 900)


async def test_a_deleted_company_leaves_no_files_and_no_passages(
    site: Site, store: Store, tmp_path: Path
) -> None:
    boss, owner = await admin(site, store), await site.register("acme")
    document = await owner.made("PUT", f"{owner.base}/documents/by-name/a.txt", content=b"hello")
    recording = tmp_path / "recordings" / owner.company / "CA1.wav"
    recording.parent.mkdir(parents=True)
    recording.write_bytes(b"voice")
    await boss.made("PATCH", owner.base, json={"version": 1, "status": "suspended"})
    await boss.made("DELETE", owner.base)
    assert site.knowledge.forgotten == [(owner.company, document["id"])]
    assert not recording.parent.exists()
    assert not (tmp_path / "uploads" / owner.company).exists()

"""A company keeps somebody who can run it, and so does the platform."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engine.store import Store, put_company
from engine.store.documents import USERS, Page
from models import Company, Role
from models.user import PLATFORM
from tests.unit.api_client import Site, Someone


async def made_admin(store: Store, someone: Someone) -> int:
    """Give this person the platform's role; the user's version."""
    user = await store.documents.get(USERS, someone.company, someone.user)
    assert user is not None
    return (await store.documents.replace(USERS, user.model_copy(update={"role": Role.ADMIN}))).version


async def version(site: Site, someone: Someone) -> int:
    user = await site.store.documents.get(USERS, someone.company, someone.user)
    assert user is not None
    return user.version


@pytest.mark.parametrize("change", [None, {"role": "agent"}, {"active": False}])
async def test_two_owners_who_remove_each_other_at_once(site: Site, change: dict[str, Any] | None) -> None:
    for number in range(5):
        ann = await site.register(f"acme{number}")
        bob = await site.invite(ann, "owner")
        method = "DELETE" if change is None else "PATCH"
        bodies = [{} if change is None else {"json": {"version": await version(site, one)} | change}
                  for one in (bob, ann)]  # fmt: skip
        answers = await asyncio.gather(
            ann.ask(method, f"{ann.base}/users/{bob.user}", **bodies[0]),
            bob.ask(method, f"{ann.base}/users/{ann.user}", **bodies[1]),
        )
        assert [answer.is_success for answer in answers].count(True) <= 1
        owners = await site.store.documents.find(
            USERS, ann.company, {"role": "owner", "active": True}, Page()
        )
        assert owners, [answer.text for answer in answers]


async def test_who_has_not_accepted_is_no_owner_yet(site: Site) -> None:
    owner = await site.register("acme")
    body = {"email": "bob@acme.example.com", "name": "Bob", "role": "owner"}
    bob = (await owner.made("POST", f"{owner.base}/users", json=body))["user"]["id"]
    refused = await owner.ask("DELETE", f"{owner.base}/users/{owner.user}")
    assert (refused.status_code, "last owner" in refused.json()["detail"]) == (409, True)
    await owner.made("DELETE", f"{owner.base}/users/{bob}")


async def test_the_last_admin_stays_one(site: Site, store: Store) -> None:
    boss = await site.register("acme")
    update = {"version": await made_admin(store, boss), "role": "owner"}
    assert (await boss.ask("PATCH", f"{boss.base}/users/{boss.user}", json=update)).status_code == 409


async def test_the_platform_is_not_suspended(site: Site, store: Store) -> None:
    await put_company(store, Company(id=PLATFORM, name="Platform"))
    boss = await site.register("acme")
    await made_admin(store, boss)
    update = {"version": 1, "status": "suspended"}
    refused = await boss.ask("PATCH", f"/companies/{PLATFORM}", json=update)
    assert (refused.status_code, "lock" in refused.json()["detail"]) == (409, True)
    await boss.made("PATCH", f"/companies/{PLATFORM}", json={"version": 1, "name": "Us"})

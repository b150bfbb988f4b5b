"""The contract of `Documents`, on every implementation that is here (see `stores`)."""

from __future__ import annotations

import asyncio

import pytest

from engine.errors import UsageError
from engine.store import Documents, Page, Stale, Store, Taken
from engine.store.documents import COMPANIES, KNOWLEDGE, USERS, Collection, delete_all
from models import AgentConfig, CallEvent, Company, KnowledgeDocument, Role, User, new_id
from models.document import now


@pytest.fixture
def documents(store: Store) -> Documents:
    return store.documents


def user(email: str, *, company: str = "acme", role: Role = Role.AGENT) -> User:
    return User(id=new_id("usr"), company_id=company, email=email, name="Ann", role=role)


def upload(name: str, company: str) -> KnowledgeDocument:
    return KnowledgeDocument(
        id=new_id("doc"), company_id=company, name=name, media_type="text/plain", size_bytes=1, sha256="0"
    )


def test_ids_are_in_the_order_of_their_making() -> None:
    ids = [new_id("usr") for _ in range(3)]
    assert all(len(one) == len("usr_") + 26 for one in ids)
    assert sorted(one[:14] for one in ids) == [one[:14] for one in ids]


async def test_what_was_written_is_read(documents: Documents) -> None:
    ann = user("ann@acme.test", role=Role.OWNER)
    await documents.insert(USERS, ann)
    assert await documents.get(USERS, "acme", ann.id) == ann
    assert await documents.by_key(USERS, "email", "ann@acme.test") == ann
    assert await documents.get(USERS, "acme", "usr_0") is None


async def test_another_company_has_no_such_document(documents: Documents) -> None:
    ann = user("ann@acme.test")
    await documents.insert(USERS, ann)
    assert await documents.get(USERS, "other", ann.id) is None
    assert await documents.find(USERS, "other", {}, Page()) == []
    assert not await documents.delete(USERS, "other", ann.id)
    with pytest.raises(Stale):
        await documents.replace(USERS, ann.model_copy(update={"company_id": "other"}))
    assert await documents.get(USERS, "acme", ann.id) == ann


async def test_a_document_of_a_company_cannot_be_asked_for_without_one(documents: Documents) -> None:
    for company in (None, ""):
        with pytest.raises(ValueError, match="without a company"):
            await documents.get(USERS, company, "usr_0")
        with pytest.raises(ValueError, match="without a company"):
            await documents.find(USERS, company, {}, Page())
        with pytest.raises(ValueError, match="without a company"):
            await documents.delete(USERS, company, "usr_0")
    with pytest.raises(ValueError, match="cannot be listed by"):
        await documents.find(USERS, "acme", {"password_hash": "x"}, Page())
    with pytest.raises(ValueError, match="no key"):
        await documents.by_key(USERS, "name", "Ann")


async def test_a_company_belongs_to_none(documents: Documents) -> None:
    acme = Company(id="acme", name="Acme")
    await documents.insert(COMPANIES, acme)
    assert await documents.get(COMPANIES, None, "acme") == acme
    assert await documents.find(COMPANIES, None, {"status": "active"}, Page()) == [acme]
    assert await documents.find(COMPANIES, None, {"status": "suspended"}, Page()) == []


async def test_keys_are_unique_in_the_installation_and_free_again(documents: Documents) -> None:
    ann = user("ann@acme.test")
    await documents.insert(USERS, ann)
    with pytest.raises(Taken) as taken:
        await documents.insert(USERS, user("ann@acme.test", company="other"))
    assert taken.value.field == "email"
    assert await documents.find(USERS, "other", {}, Page()) == [], "nothing of the refused one is left"
    moved = await documents.replace(USERS, ann.model_copy(update={"email": "ann@home.test"}))
    await documents.insert(USERS, user("ann@acme.test", company="other"))
    with pytest.raises(Taken):
        await documents.replace(USERS, moved.model_copy(update={"email": "ann@acme.test"}))
    assert await documents.by_key(USERS, "email", "ann@home.test") == moved
    await documents.delete(USERS, "acme", ann.id)
    assert await documents.by_key(USERS, "email", "ann@home.test") is None
    await documents.insert(USERS, user("ann@home.test"))


async def test_unique_counts_within_a_company(documents: Documents) -> None:
    await documents.insert(KNOWLEDGE, upload("prices.txt", "acme"))
    await documents.insert(KNOWLEDGE, upload("prices.txt", "other"))
    with pytest.raises(Taken):
        await documents.insert(KNOWLEDGE, upload("prices.txt", "acme"))


async def test_an_id_is_taken_once(documents: Documents) -> None:
    ann = user("ann@acme.test")
    await documents.insert(USERS, ann)
    for company in ("acme", "other"):
        with pytest.raises(Taken):
            await documents.insert(USERS, ann.model_copy(update={"company_id": company, "email": "b@c.test"}))


async def test_of_two_who_change_the_same_version_one_is_told(documents: Documents) -> None:
    ann = user("ann@acme.test")
    await documents.insert(USERS, ann)
    changes = [ann.model_copy(update={"name": name}) for name in ("Anna", "Anne")]
    results = await asyncio.gather(*(documents.replace(USERS, c) for c in changes), return_exceptions=True)
    assert [type(result) for result in results if isinstance(result, BaseException)] == [Stale]
    (written,) = [result for result in results if isinstance(result, User)]
    assert (written.version, written.created_at) == (2, ann.created_at)
    assert await documents.get(USERS, "acme", ann.id) == written


async def test_lists_are_newest_first_in_pages(documents: Documents) -> None:
    made = []
    for number in range(7):
        role = Role.MANAGER if number % 2 else Role.AGENT
        one = user(f"u{number}@acme.test", role=role).model_copy(update={"id": f"usr_{number}"})
        await documents.insert(USERS, one)
        made.append(one)
    first = await documents.find(USERS, "acme", {}, Page(limit=3))
    second = await documents.find(USERS, "acme", {}, Page(before=first[-1].id, limit=10))
    assert [*first, *second] == made[::-1]
    assert await documents.find(USERS, "acme", {"role": "manager"}, Page()) == made[5::-2]
    assert await documents.find(USERS, "acme", {"active": False}, Page()) == []
    assert len(await documents.find(USERS, "acme", {"active": True, "role": "agent"}, Page())) == 4
    assert await documents.find(USERS, "acme", {"email": "u3@acme.test"}, Page()) == [made[3]]
    for limit in (0, 201):
        with pytest.raises(UsageError, match="1 to 200"):
            Page(limit=limit)


async def test_odd_text_comes_back_as_it_was(documents: Documents) -> None:
    name = 'Zoë \u0000\u2028 \'quoted\' "$where" {"$gt": 1} 🦷'
    ann = user("ann@acme.test").model_copy(update={"name": name, "password_changed_at": now()})
    await documents.insert(USERS, ann)
    assert await documents.get(USERS, "acme", ann.id) == ann


def test_every_collection_that_belongs_to_companies_says_so() -> None:
    from engine.store.documents import ALL, TenantCollection

    for collection in ALL:
        assert isinstance(collection, Collection)
        assert isinstance(collection, TenantCollection) == ("company_id" in collection.model.model_fields)
        fields = {*collection.keys, *collection.unique, *collection.filters}
        assert fields <= set(collection.model.model_fields)


async def test_a_company_is_forgotten_and_no_other(store: Store) -> None:
    for company in ("acme", "other"):
        await store.publish_agent(AgentConfig(id="front", company_id=company))
        event = CallEvent(call_id=f"CA-{company}", company_id=company, seq=0, kind="call_started", at_ms=1.0)
        await store.append_events([event])
        await store.documents.insert(USERS, user(f"ann@{company}.test", company=company))
    await store.forget_company("acme")
    await delete_all(store.documents, USERS, "acme", {})
    for company, left in (("acme", 0), ("other", 1)):
        assert len(await store.events(company, f"CA-{company}")) == left
        assert (await store.agent(company, "front") is not None) == bool(left)
        assert len(await store.documents.find(USERS, company, {}, Page())) == left

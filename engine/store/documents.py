"""What the store keeps besides journals: documents in collections. Declared here, kept by each store.

Two kinds of collection, and the types keep them apart: of a `TenantCollection` nothing can be read, changed
or listed without naming the company. The one way from outside into a company is a key: a field whose values
are unique in the whole installation (an e-mail address, a telephone number, the hash of a token).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from engine.errors import ParleyError, UsageError
from models import (
    Agent,
    ApiKey,
    CallRecord,
    Company,
    Document,
    KnowledgeDocument,
    PhoneNumber,
    ProviderKey,
    RefreshToken,
    ResetToken,
    TenantDocument,
    User,
)

D = TypeVar("D", bound=Document)
T = TypeVar("T", bound=TenantDocument)

MAX_PAGE = 200


class Taken(ParleyError):
    """Another document has this value already; `field` names where it must be unique."""

    def __init__(self, field: str) -> None:
        super().__init__(f"this {field} is taken: choose another")
        self.field = field


class Stale(ParleyError):
    """The document was changed or deleted since it was read: read it again."""


@dataclass(frozen=True, slots=True)
class Collection(Generic[D]):
    """`keys`: unique in the installation. `unique`: unique in a company. `filters`: fields to list by."""

    name: str
    model: type[D]
    keys: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TenantCollection(Collection[T]):
    """Documents of companies."""


COMPANIES = Collection("companies", Company, filters=("status",))
USERS = TenantCollection("users", User, keys=("email",), filters=("role", "active"))
REFRESH_TOKENS = TenantCollection(
    "refresh_tokens", RefreshToken, keys=("token_hash",), filters=("family", "user_id")
)
RESET_TOKENS = TenantCollection("reset_tokens", ResetToken, keys=("token_hash",), filters=("user_id",))
API_KEYS = TenantCollection("api_keys", ApiKey, keys=("key_hash",))
PROVIDER_KEYS = TenantCollection("provider_keys", ProviderKey, unique=("vendor",))
AGENTS = TenantCollection("agent_drafts", Agent)
NUMBERS = TenantCollection("numbers", PhoneNumber, keys=("number",), filters=("agent_id",))
KNOWLEDGE = TenantCollection("documents", KnowledgeDocument, unique=("name",), filters=("status",))
CALLS = TenantCollection("calls", CallRecord, unique=("call_id",), filters=("agent_id", "status", "caller"))
ALL: tuple[Collection[Any], ...] = (
    COMPANIES, USERS, REFRESH_TOKENS, RESET_TOKENS, API_KEYS, PROVIDER_KEYS, AGENTS, NUMBERS, KNOWLEDGE, CALLS
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list: newest first, so many, ids below `before` (the last id of the page before).

    `since`: no ids below this one. Ids begin with a time, so that this bounds a list in time.
    """

    before: str | None = None
    limit: int = 50
    since: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= MAX_PAGE:
            raise UsageError(f"a page has 1 to {MAX_PAGE} entries: ask for as many")


class Documents(Protocol):
    """Every write is durable when it returns. All raise ConfigurationError where the database fails."""

    async def insert(self, collection: Collection[D], document: D) -> None:
        """Raises Taken, also for an id that is there."""
        ...

    async def replace(self, collection: Collection[D], document: D) -> D:
        """Write over the document of the same id (and company) whose version is `document.version`.

        Returns it as written: next version, new `updated_at`. Raises Stale, Taken.
        """
        ...

    async def get(self, collection: Collection[D], company_id: str | None, id: str) -> D | None:
        """`company_id` is None for what belongs to no company, and must not be for what does."""
        ...

    async def find(
        self,
        collection: Collection[D],
        company_id: str | None,
        where: Mapping[str, Any],
        page: Page,
    ) -> Sequence[D]:
        """Newest first; `where` compares fields that are filters, unique or keys of the collection."""
        ...

    async def by_key(self, collection: Collection[D], field: str, value: str) -> D | None:
        """The one document of the installation with this value of a key."""
        ...

    async def delete(self, collection: Collection[D], company_id: str | None, id: str) -> bool:
        """Whether there was one."""
        ...


async def every(
    documents: Documents, collection: Collection[D], company_id: str | None, where: Mapping[str, Any]
) -> AsyncIterator[D]:
    """All documents like this, newest first, a page at a time: one that changes meanwhile may be missed."""
    page = Page(limit=MAX_PAGE)
    while found := await documents.find(collection, company_id, where, page):
        for document in found:
            yield document
        page = Page(before=found[-1].id, limit=MAX_PAGE)


async def delete_all(
    documents: Documents, collection: Collection[Any], company_id: str, where: Mapping[str, Any]
) -> None:
    """Delete a company's documents like this until none is left, so that one made meanwhile goes too."""
    while found := await documents.find(collection, company_id, where, Page(limit=MAX_PAGE)):
        for document in found:
            await documents.delete(collection, company_id, document.id)


def check(collection: Collection[Any], company_id: str | None, fields: Sequence[str] = ()) -> str:
    """The company to confine to ('' for none). Raises ValueError for what a programmer must not ask."""
    if isinstance(collection, TenantCollection) != bool(company_id):
        raise ValueError(f"{collection.name}: asked {'for' if company_id else 'without'} a company")
    known = (*collection.filters, *collection.unique, *collection.keys)
    if unknown := set(fields) - set(known):
        raise ValueError(f"{collection.name} cannot be listed by {sorted(unknown)}")
    return company_id or ""

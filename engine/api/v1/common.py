"""What all routes share: who asks, which company, pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Generic, Protocol, TypeVar

from fastapi import Depends, Header, Path, Query, Request
from pydantic import BaseModel

from engine.services.access import Access, NotSignedIn, Principal
from engine.store import Page
from models import Document, Role

D = TypeVar("D", bound=Document)
Id = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class Authenticator(Protocol):
    """Whose token or key this is. Raises NotSignedIn."""

    async def __call__(self, credential: str) -> Principal: ...


async def principal(request: Request, authorization: Annotated[str, Header()] = "") -> Principal:
    """The one who asks, by `Authorization: Bearer` (an access token or an API key)."""
    scheme, _, credential = authorization.partition(" ")
    if scheme.lower() != "bearer" or not credential:
        raise NotSignedIn("send an access token or an API key: Authorization: Bearer ...")
    authenticate: Authenticator = request.app.state.authenticate
    return await authenticate(credential.strip())


Asking = Annotated[Principal, Depends(principal)]


def enter(needed: Role) -> Callable[..., Awaitable[Access]]:
    """A dependency: access to the company of the path for at least this role."""

    async def dependency(company_id: Id, asking: Asking) -> Access:
        return asking.enter(company_id, needed)

    return dependency


Reader = Annotated[Access, Depends(enter(Role.AGENT))]
Manager = Annotated[Access, Depends(enter(Role.MANAGER))]
Owner = Annotated[Access, Depends(enter(Role.OWNER))]
Admin = Annotated[Access, Depends(enter(Role.ADMIN))]


class Listing(BaseModel, Generic[D]):
    """A page of a list, newest first. `next`: the cursor of the next page; None at the end."""

    items: list[D]
    next: str | None = None


def page(
    cursor: Annotated[str | None, Query(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> Page:
    """The page that a request asks for."""
    return Page(before=cursor, limit=limit)


Paged = Annotated[Page, Depends(page)]


def listing(items: Sequence[D], asked: Page) -> Listing[D]:
    """A page with its cursor: a full one may have a next."""
    return Listing(items=list(items), next=items[-1].id if len(items) == asked.limit else None)

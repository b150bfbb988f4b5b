"""What all routes share: who asks, which company, pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Path, Query, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

from engine.logs import bind
from engine.services.access import Access, NotSignedIn, Principal
from engine.services.platform import Platform
from engine.store import Page
from models import Document, Role

D = TypeVar("D", bound=BaseModel)
Id = Annotated[str, Path(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


def platform(request: Request) -> Platform:
    found: Platform = request.app.state.platform
    return found


Using = Annotated[Platform, Depends(platform)]
_BEARER = HTTPBearer(auto_error=False, description="an access token, or an API key")


async def principal(
    using: Using, bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
) -> Principal:
    """The one who asks, by `Authorization: Bearer` (an access token or an API key)."""
    if bearer is None or not bearer.credentials:
        raise NotSignedIn("send an access token or an API key: Authorization: Bearer ...")
    return await using.auth.authenticate(bearer.credentials.strip())


Asking = Annotated[Principal, Depends(principal)]


def enter(needed: Role) -> Callable[..., Awaitable[Access]]:
    """A dependency: access to the company of the path for at least this role."""

    async def dependency(company_id: Id, asking: Asking) -> Access:
        access = asking.enter(company_id, needed)
        bind(company_id=access.company_id)
        return access

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


def cursor(found: Sequence[Document], asked: Page) -> str | None:
    """The cursor behind a page: a full one may have a next."""
    return found[-1].id if len(found) == asked.limit else None

"""The people of a company."""

from __future__ import annotations

from collections.abc import Sequence

from engine.services.access import Access, Forbidden, InUse, NotFound
from engine.store import Page, Stale, Store
from engine.store.documents import MAX_PAGE, REFRESH_TOKENS, USERS, delete_all
from models import Role, User, new_id
from models.accounts import Invite, UpdateUser


class Users:
    def __init__(self, store: Store) -> None:
        self._store = store

    async def list(self, access: Access, page: Page) -> Sequence[User]:
        return await self._store.documents.find(USERS, access.company_id, {}, page)

    async def get(self, access: Access, user_id: str) -> User:
        """Raises NotFound."""
        user = await self._store.documents.get(USERS, access.company_id, user_id)
        if user is None:
            raise NotFound(f"there is no user {user_id}")
        return user

    async def invite(self, access: Access, asked: Invite) -> User:
        """A user who has no password yet. Raises Forbidden for a role above one's own, Taken."""
        _refuse_above(access, asked.role)
        user = User(
            id=new_id("usr"),
            company_id=access.company_id,
            email=asked.email,
            name=asked.name,
            role=asked.role,
        )
        await self._store.documents.insert(USERS, user)
        return user

    async def update(self, access: Access, user_id: str, asked: UpdateUser) -> User:
        """Raises NotFound, Stale, Forbidden, and InUse when the company would be left without an owner."""
        user = await self.get(access, user_id)
        if user.version != asked.version:
            raise Stale(f"{user_id} was changed meanwhile: read it again")
        _refuse_above(access, user.role)
        changed = user.model_copy(update=asked.model_dump(exclude={"version"}, exclude_none=True))
        _refuse_above(access, changed.role)
        if not changed.active or not changed.role.can(user.role):
            changed = await self._step_down(user, changed)
        else:
            changed = await self._store.documents.replace(USERS, changed)
        if not changed.active:
            await self._end_sessions(changed)
        return changed

    async def delete(self, access: Access, user_id: str) -> None:
        user = await self.get(access, user_id)
        _refuse_above(access, user.role)
        if user.active:
            user = await self._step_down(user, user.model_copy(update={"active": False}))
        await self._store.documents.delete(USERS, access.company_id, user_id)
        await self._end_sessions(user)

    async def _step_down(self, user: User, changed: User) -> User:
        """Write what takes a role away. Raises InUse for the last of the company's owners, Stale.

        Asked again after the write: of two owners who remove each other at once, neither may go.
        """
        await self._refuse_last_owner(user)
        changed = await self._store.documents.replace(USERS, changed)
        try:
            await self._refuse_last_owner(user)
        except InUse:
            rights = {"role": user.role, "active": user.active}
            await self._store.documents.replace(USERS, changed.model_copy(update=rights))
            raise
        return changed

    async def _refuse_last_owner(self, user: User) -> None:
        if not _owns(user):
            return
        wanted = {"role": user.role.value, "active": True}
        owners = await self._store.documents.find(USERS, user.company_id, wanted, Page(limit=MAX_PAGE))
        if not any(owner.id != user.id and _owns(owner) for owner in owners):
            raise InUse(f"{user.email} is the last {user.role.value} of the company: name another one first")

    async def _end_sessions(self, user: User) -> None:
        await delete_all(self._store.documents, REFRESH_TOKENS, user.company_id, {"user_id": user.id})


def _owns(user: User) -> bool:
    """Whether this person can sign in as an owner: not before the invitation is accepted."""
    return user.active and user.password_hash is not None and user.role.can(Role.OWNER)


def _refuse_above(access: Access, role: Role) -> None:
    if not access.principal.role.can(role):
        raise Forbidden(f"'{role.value}' is above your role, '{access.principal.role.value}'")

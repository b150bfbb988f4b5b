"""Who is asking: registration, sessions, keys.

An access token is a JWT that lives for minutes; a refresh token is a random word that is good for one use.
Used twice, somebody has a copy, and the whole session ends. Of random words only hashes are stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from engine.config import Settings
from engine.services.access import Forbidden, NotFound, NotSignedIn, Principal
from engine.services.passwords import hash_password, is_password
from engine.services.throttle import Throttle
from engine.store import Stale, Store
from engine.store.documents import (
    API_KEYS,
    COMPANIES,
    REFRESH_TOKENS,
    RESET_TOKENS,
    USERS,
    delete_all,
)
from models import ApiKey, Company, RefreshToken, ResetToken, Role, User, new_id
from models.document import now

ALGORITHM, ISSUER, AUDIENCE = "HS256", "parley", "parley-api"
ACCESS_FOR = timedelta(minutes=15)
REFRESH_FOR = timedelta(days=30)
RESET_FOR = timedelta(hours=24)
TRIES, TRIES_OF_ADDRESS, REGISTRATIONS, WINDOW_S = 8, 40, 10, 900.0
KEY_PREFIX = "pk_"
SEEN_EVERY = timedelta(minutes=1)
WRONG = "wrong e-mail address or password"
OVER = "this session is over: sign in again"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client gets. Lives of the access token in seconds."""

    access_token: str
    refresh_token: str
    expires_in_s: int


@dataclass(frozen=True, slots=True)
class Registration:
    company: str
    name: str
    email: str
    password: str


class Auth:
    """One a process: it keeps the counts of failed logins."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._open = settings.registration_open
        # Not the key of media tokens: one kind must never pass for the other.
        self._key = hmac.digest(settings.signing_secret().encode(), b"parley access tokens", "sha256")
        self._tries = Throttle(TRIES, WINDOW_S)
        self._tries_of_address = Throttle(TRIES_OF_ADDRESS, WINDOW_S)
        self._registrations = Throttle(REGISTRATIONS, WINDOW_S)

    # Signing in

    async def register(self, asked: Registration, address: str | None = None) -> tuple[User, Tokens]:
        """A company and its owner. `address`: as for `login`.

        Raises Forbidden where registration is closed, TooMany, Taken, InvalidField.
        """
        if not self._open:
            raise Forbidden("registration is closed here: ask those who run this installation")
        if address is not None:
            self._registrations.check(address)
            self._registrations.failed(address)
        hashed = await hash_password(asked.password)
        company = Company(id=new_id("co"), name=asked.company)
        owner = User(
            id=new_id("usr"),
            company_id=company.id,
            email=asked.email.lower(),
            name=asked.name,
            role=Role.OWNER,
            password_hash=hashed,
        )
        await self._store.documents.insert(COMPANIES, company)
        try:
            await self._store.documents.insert(USERS, owner)
        except BaseException:
            await self._store.documents.delete(COMPANIES, None, company.id)
            raise
        return owner, await self._session(owner, new_id("ses"))

    async def login(self, email: str, password: str, address: str | None) -> tuple[User, Tokens]:
        """`address`: None when it is not known. Raises NotSignedIn, TooMany, Forbidden (suspended)."""
        email = email.lower()
        self._try(email, address)
        user = await self._store.documents.by_key(USERS, "email", email)
        if not await is_password(password, user.password_hash if user else None) or user is None:
            raise NotSignedIn(WRONG)
        self._tries.forget(email)
        if address is not None:
            self._tries_of_address.give_back(address)
        await self._refuse_inactive(user)
        return user, await self._session(user, new_id("ses"))

    async def refresh(self, token: str) -> Tokens:
        """The next pair of a session. Raises NotSignedIn; a token used before ends its session."""
        found = await self._store.documents.by_key(REFRESH_TOKENS, "token_hash", digest(token))
        if found is None or found.expires_at < now():
            raise NotSignedIn(OVER)
        try:
            if found.used:
                raise Stale("used before")
            await self._store.documents.replace(REFRESH_TOKENS, found.model_copy(update={"used": True}))
        except Stale:
            await self._revoke(found.company_id, {"family": found.family})
            raise NotSignedIn(OVER) from None
        user = await self._store.documents.get(USERS, found.company_id, found.user_id)
        if user is None:
            raise NotSignedIn(OVER)
        await self._refuse_inactive(user)
        tokens = await self._session(user, found.family)
        if await self._store.documents.get(REFRESH_TOKENS, found.company_id, found.id) is None:
            # The session was ended meanwhile, perhaps before its newest link was there to be ended.
            await self._revoke(found.company_id, {"family": found.family})
            raise NotSignedIn(OVER)
        return tokens

    async def logout(self, token: str) -> None:
        """End the session of this refresh token; nothing happens when there is none."""
        found = await self._store.documents.by_key(REFRESH_TOKENS, "token_hash", digest(token))
        if found is not None:
            await self._revoke(found.company_id, {"family": found.family})

    # Passwords

    async def change_password(self, asking: Principal, old: str, new: str) -> Tokens:
        """All sessions end but the one that is returned. Raises NotSignedIn, InvalidField."""
        user = await self.user(asking)
        self._try(user.email, None)
        if not await is_password(old, user.password_hash):
            raise NotSignedIn("the old password is wrong")
        self._tries.forget(user.email)
        hashed = await hash_password(new, "new_password")
        return await self._session(await self._set_password(user, hashed), new_id("ses"))

    async def reset_token(self, user: User) -> str:
        """The right to set a password once, within a day: for a reset or an invitation."""
        token = f"pw_{secrets.token_urlsafe(32)}"
        reset = ResetToken(
            id=new_id("rst"),
            company_id=user.company_id,
            user_id=user.id,
            token_hash=digest(token),
            expires_at=now() + RESET_FOR,
        )
        await self._store.documents.insert(RESET_TOKENS, reset)
        return token

    async def reset_password(self, token: str, new: str) -> tuple[User, Tokens]:
        """Raises NotSignedIn for a token that is unknown, used or too old; InvalidField, Forbidden."""
        found = await self._store.documents.by_key(RESET_TOKENS, "token_hash", digest(token))
        refusal = NotSignedIn("this link was used or is too old: ask for another")
        if found is None or found.used or found.expires_at < now():
            raise refusal
        user = await self._store.documents.get(USERS, found.company_id, found.user_id)
        if user is None:
            raise refusal
        await self._refuse_inactive(user)
        hashed = await hash_password(new)  # a password that is refused must not use the token up
        try:
            await self._store.documents.replace(RESET_TOKENS, found.model_copy(update={"used": True}))
        except Stale:
            raise refusal from None
        user = await self._set_password(user, hashed)
        return user, await self._session(user, new_id("ses"))

    # Keys of programs

    async def create_key(self, company_id: str, name: str, role: Role) -> tuple[ApiKey, str]:
        """A key and its secret, which is not kept. Raises Forbidden for a role that only people have."""
        if not Role.MANAGER.can(role):
            raise Forbidden("a key may be at most a manager: owners are people")
        secret = KEY_PREFIX + secrets.token_urlsafe(32)
        key = ApiKey(
            id=new_id("key"),
            company_id=company_id,
            name=name,
            key_hash=digest(secret),
            hint=secret[-4:],
            role=role,
        )
        await self._store.documents.insert(API_KEYS, key)
        return key, secret

    async def revoke_key(self, company_id: str, key_id: str) -> None:
        """It is refused from now on. Raises NotFound."""
        while True:
            key = await self._store.documents.get(API_KEYS, company_id, key_id)
            if key is None:
                raise NotFound(f"there is no key {key_id}")
            if key.revoked:
                return
            try:
                await self._store.documents.replace(API_KEYS, key.model_copy(update={"revoked": True}))
            except Stale:
                continue  # somebody uses it: that must not put its end off

    # Who asks

    async def authenticate(self, credential: str) -> Principal:
        """Whose access token or key this is. Raises NotSignedIn, Forbidden for a suspended company."""
        if credential.startswith(KEY_PREFIX):
            return await self._program(credential)
        claims = self._claims(credential)
        user = await self._store.documents.get(USERS, str(claims["company"]), str(claims["sub"]))
        if user is None:
            raise NotSignedIn(OVER)
        changed = user.password_changed_at
        if changed is not None and claims["iat"] < changed.timestamp():
            raise NotSignedIn(OVER)
        await self._refuse_inactive(user)
        return Principal(user.company_id, user.role, user_id=user.id)

    async def user(self, asking: Principal) -> User:
        """The person who asks. Raises Forbidden for a program."""
        if not asking.user_id:
            raise Forbidden("a key has no account: sign in as a person")
        user = await self._store.documents.get(USERS, asking.company_id, asking.user_id)
        if user is None:
            raise NotSignedIn(OVER)
        return user

    async def _program(self, secret: str) -> Principal:
        key = await self._store.documents.by_key(API_KEYS, "key_hash", digest(secret))
        if key is None or key.revoked:
            raise NotSignedIn("this key is unknown or revoked")
        await self._refuse_suspended(key.company_id)
        if key.last_used_at is None or now() - key.last_used_at > SEEN_EVERY:
            try:
                await self._store.documents.replace(API_KEYS, key.model_copy(update={"last_used_at": now()}))
            except Stale:
                return await self._program(secret)  # another request noted it, or the key was revoked
        return Principal(key.company_id, key.role, key_id=key.id)

    def _claims(self, token: str) -> dict[str, Any]:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["iss", "aud", "exp", "iat", "sub", "company"]},
            )
        except jwt.ExpiredSignatureError:
            raise NotSignedIn("the access token has expired: refresh it") from None
        except (jwt.InvalidTokenError, ValueError):
            raise NotSignedIn("the access token is not valid: sign in") from None
        return claims

    def _try(self, email: str, address: str | None) -> None:
        """Count a failure until it goes well: of many tries at once none may pass uncounted."""
        self._tries.check(email)
        if address is not None:
            self._tries_of_address.check(address)
            self._tries_of_address.failed(address)
        self._tries.failed(email)

    async def _refuse_inactive(self, user: User) -> None:
        if not user.active:
            raise NotSignedIn("this account is switched off: ask an owner of the company")
        await self._refuse_suspended(user.company_id)

    async def _refuse_suspended(self, company_id: str) -> None:
        company = await self._store.company(company_id)
        if company is None or company.status != "active":
            raise Forbidden("this company is suspended: ask those who run this installation")

    async def _session(self, user: User, family: str) -> Tokens:
        token = f"pr_{secrets.token_urlsafe(32)}"
        link = RefreshToken(
            id=new_id("rft"),
            company_id=user.company_id,
            user_id=user.id,
            family=family,
            token_hash=digest(token),
            expires_at=now() + REFRESH_FOR,
        )
        await self._store.documents.insert(REFRESH_TOKENS, link)
        known = await self._store.documents.get(USERS, user.company_id, user.id)
        if known is None or known.password_hash != user.password_hash:
            # The password was changed meanwhile, perhaps before this session was there to be ended.
            await self._store.documents.delete(REFRESH_TOKENS, link.company_id, link.id)
            raise NotSignedIn(OVER)
        return Tokens(self._access_token(user, now()), token, int(ACCESS_FOR.total_seconds()))

    def _access_token(self, user: User, at: datetime) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": at.timestamp(),
            "exp": int((at + ACCESS_FOR).timestamp()),
            "jti": secrets.token_urlsafe(8),
            "sub": user.id,
            "company": user.company_id,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    async def _set_password(self, user: User, hashed: str) -> User:
        """Voids all of this person's sessions and links."""
        changed = user.model_copy(update={"password_hash": hashed, "password_changed_at": now()})
        changed = await self._store.documents.replace(USERS, changed)
        await self._revoke(user.company_id, {"user_id": user.id})
        await delete_all(self._store.documents, RESET_TOKENS, user.company_id, {"user_id": user.id})
        return changed

    async def _revoke(self, company_id: str, which: dict[str, str]) -> None:
        await delete_all(self._store.documents, REFRESH_TOKENS, company_id, which)


def digest(secret: str) -> str:
    """What is stored of a random word: it has entropy enough for a plain hash."""
    return hashlib.sha256(secret.encode()).hexdigest()

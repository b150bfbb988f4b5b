"""What requests and answers about people, companies and keys consist of. No hash is in any of them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from models.fields import Email, Name, Password, Secret
from models.user import ApiKey, ProviderKey, Role, User


class Request(BaseModel):
    """A misspelt field is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Update(Request):
    """A change of what was read as `version`; fields that are not sent stay."""

    version: int = Field(ge=1, le=2**53)


class Register(Request):
    company: Name
    name: Name
    email: Email
    password: Password


class Login(Request):
    email: Email
    password: Password


class Refresh(Request):
    refresh_token: Secret


class ChangePassword(Request):
    old_password: Password
    new_password: Password


class SetPassword(Request):
    """`token`: of an invitation or of a reset."""

    token: Secret
    password: Password


class Invite(Request):
    email: Email
    name: Name
    role: Role = Role.AGENT


class UpdateUser(Update):
    name: Name | None = None
    role: Role | None = None
    active: bool | None = None


class CreateCompany(Request):
    name: Name
    max_calls: int = Field(default=8, ge=1, le=100_000)


class UpdateCompany(Update):
    """`status` and `max_calls` are the platform's to change."""

    name: Name | None = None
    retention_days: int | None = Field(default=None, ge=1, le=36_500)
    status: Literal["active", "suspended"] | None = None
    max_calls: int | None = Field(default=None, ge=1, le=100_000)


class CreateKey(Request):
    name: Name
    role: Role = Role.AGENT


class Session(BaseModel):
    """`expires_in_s`: seconds for which the access token is good."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in_s: int


class Account(BaseModel):
    """A user as others see it."""

    id: str
    company_id: str
    version: int
    created_at: AwareDatetime
    email: str
    name: str
    role: Role
    active: bool
    invited: bool
    """Has not chosen a password yet."""

    @classmethod
    def of(cls, user: User) -> Self:
        return cls(**user.model_dump(include=set(cls.model_fields)), invited=user.password_hash is None)


class SignedIn(BaseModel):
    user: Account
    session: Session


class Invited(BaseModel):
    """`token` is shown once: hand it to the person, who chooses a password with it within a day."""

    user: Account
    token: str


class Key(BaseModel):
    """An API key as it is listed. `hint`: how it ends."""

    id: str
    company_id: str
    created_at: AwareDatetime
    name: str
    hint: str
    role: Role
    revoked: bool
    last_used_at: AwareDatetime | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        return cls(**key.model_dump(include=set(cls.model_fields)))


class NewKey(BaseModel):
    """`secret` is shown once."""

    key: Key
    secret: str


class SetOwnKey(Request):
    key: Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{8,500}$")]


class OwnKey(BaseModel):
    """A company's own key of a vendor. `hint`: how it ends."""

    id: str
    company_id: str
    vendor: str
    hint: str
    version: int
    updated_at: AwareDatetime

    @classmethod
    def of(cls, key: ProviderKey) -> Self:
        return cls(**key.model_dump(include=set(cls.model_fields)))

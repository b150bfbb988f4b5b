"""`parley users create-admin` on a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from engine.cli import parley
from engine.config import Settings, settings
from engine.services.auth import Auth
from engine.store.open import open_store
from models import Role, User
from models.user import PLATFORM
from tests.unit.api_client import PASSWORD

EMAIL = "Boss@Platform.example.com"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """This process's settings, with the data in a folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARLEY_DATA_DIR", str(tmp_path / "data"))
    settings.cache_clear()
    yield settings()
    settings.cache_clear()


def create(email: str = EMAIL, typed: str = PASSWORD + "\n", *options: str) -> Result:
    arguments = ["users", "create-admin", "--email", email, *(options or ("--password-stdin",))]
    return CliRunner().invoke(parley, arguments, input=typed)


def sign_in(config: Settings) -> User:
    async def work() -> User:
        store = await open_store(config)
        try:
            return (await Auth(store, config).login(EMAIL, PASSWORD, None))[0]
        finally:
            await store.close()

    return asyncio.run(work())


@pytest.mark.parametrize("options", [("--password-stdin",), ("--name", "Boss")])
def test_the_first_admin_may_sign_in(config: Settings, options: tuple[str, ...]) -> None:
    typed = f"{PASSWORD}\n" * (1 if "--password-stdin" in options else 2)
    result = create(EMAIL, typed, *options)
    assert result.exit_code == 0, result.output
    assert PASSWORD not in result.output
    user = sign_in(config)
    assert (user.company_id, user.role, user.email) == (PLATFORM, Role.ADMIN, EMAIL.lower())


@pytest.mark.parametrize(
    ("email", "password", "why"),
    [
        ("boss", PASSWORD, "--email"),
        (EMAIL, "short", "at least 10"),
        (EMAIL, "x" * 73, "at most 72 bytes"),
        (EMAIL, "long enough\tbut odd", "control characters"),
    ],
)
def test_what_could_not_sign_in_is_not_made(config: Settings, email: str, password: str, why: str) -> None:
    result = create(email, f"{password}\n")
    assert (result.exit_code, why in result.output) == (1, True), result.output
    assert create().exit_code == 0, "nothing is left of it"


def test_an_account_is_made_once(config: Settings) -> None:
    assert create().exit_code == 0
    again = create(EMAIL.upper())
    assert (again.exit_code, "already" in again.output) == (1, True)

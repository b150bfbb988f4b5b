"""What goes by itself, on every store."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from engine.services.housekeeping import Housekeeping, Swept
from engine.store import Page, Store, put_company
from engine.store.documents import CALLS, REFRESH_TOKENS, RESET_TOKENS, TenantCollection
from engine.store.recordings import Recordings
from models import Company, RefreshToken, ResetToken, new_id
from models.document import now
from tests.unit.test_calls_api import keep

DAY = timedelta(days=1)


async def company(store: Store, retention_days: int | None) -> str:
    made = Company(id=new_id("co"), name="Acme", retention_days=retention_days)
    await put_company(store, made)
    return made.id


async def test_calls_are_kept_as_long_as_their_company_says(store: Store, tmp_path: Path) -> None:
    brief, long, forever = [await company(store, days) for days in (7, 30, None)]
    for number, each in enumerate((brief, long, forever), 1):
        await keep(store, each, call=f"CA{number}")
    await keep(store, brief, until=1, call="CA4")
    recordings = Recordings(tmp_path)
    voice = recordings.path(brief, "CA1")
    voice.parent.mkdir(parents=True)
    voice.write_bytes(b"voice")
    (record,) = await store.documents.find(CALLS, forever, {}, Page())
    began = record.started_at
    housekeeping = Housekeeping(store, recordings)
    assert await housekeeping.sweep(began + 6 * DAY) == Swept(0, 0)
    assert voice.exists()
    assert await housekeeping.sweep(began + 8 * DAY) == Swept(1, 0)
    assert not voice.exists()
    assert await store.events(brief, "CA1") == []
    left = await store.documents.find(CALLS, brief, {}, Page())
    assert [call.call_id for call in left] == ["CA4"], "a call that goes on stays"
    assert await store.events(brief, "CA4") != []
    assert await housekeeping.sweep(began + 400 * DAY) == Swept(1, 0)
    assert await store.events(forever, "CA3") != []


async def test_tokens_go_when_they_have_expired(store: Store, tmp_path: Path) -> None:
    acme = await company(store, None)
    for name, days in (("old", -1), ("new", 1)):
        until = now() + days * DAY
        refresh = RefreshToken(
            id=new_id("rt"), company_id=acme, user_id="u", family="f", token_hash=name, expires_at=until
        )
        reset = ResetToken(id=new_id("rs"), company_id=acme, user_id="u", token_hash=name, expires_at=until)
        await store.documents.insert(REFRESH_TOKENS, refresh)
        await store.documents.insert(RESET_TOKENS, reset)
    assert await Housekeeping(store, Recordings(tmp_path)).sweep() == Swept(0, 2)
    collections: tuple[TenantCollection[Any], ...] = (REFRESH_TOKENS, RESET_TOKENS)
    for collection in collections:
        left = await store.documents.find(collection, acme, {}, Page())
        assert [token.token_hash for token in left] == ["new"]

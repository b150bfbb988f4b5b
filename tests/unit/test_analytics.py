"""Figures of calls: counted from records, and asked for over HTTP."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from engine.services import analytics
from engine.services.analytics import Period, count, percentile
from engine.store import Store
from engine.store.documents import CALLS
from models import CallRecord, dated_id
from tests.unit.api_client import Site

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
WEEK = Period(date(2026, 11, 23), date(2026, 11, 29))
ASKED = {"first": "2026-11-23", "last": "2026-11-29"}


def record(name: str, after: timedelta, company: str = "acme", **fields: Any) -> CallRecord:
    at = MONDAY + after
    ended: dict[str, Any] = {
        "status": "ended", "end_reason": "caller hung up", "duration_ms": 90_000, "turns": 4,
        "answered_turns": 3, "agent_id": "front",
    }  # fmt: skip
    return CallRecord(
        id=dated_id(round(at.timestamp() * 1000), name),
        call_id=name,
        company_id=company,
        started_at=at,
        **ended | fields,
    )


@pytest.mark.parametrize(
    ("values", "p50", "p95"),
    [
        ([], None, None),
        ([7.0], 7.0, 7.0),
        ([1.0, 2.0], 1.0, 2.0),
        ([float(n) for n in range(1, 101)], 50, 95),
    ],
)
def test_a_percentile_was_measured(values: list[float], p50: float | None, p95: float | None) -> None:
    assert (percentile(values, 50), percentile(values, 95)) == (p50, p95)


def test_days_and_agents_are_counted_apart() -> None:
    hour, day = timedelta(hours=1), timedelta(days=1)
    calls = [
        record("a", hour, voice_to_voice_ms=(500.0, 300.0)),
        record("b", 2 * hour, voice_to_voice_ms=(400.0,), end_reason="time limit"),
        record("c", 2 * hour, agent_id="büro", turns=0, answered_turns=0),
        record("d", day, end_reason=None),
        record("e", day, status="live", duration_ms=None),
    ]
    found = count(calls, WEEK)
    assert [(one.day.day, one.agent_id, one.figures.calls) for one in found.days] == [
        (23, "büro", 1), (23, "front", 2), (24, "front", 1)
    ]  # fmt: skip
    front = found.days[1].figures
    assert (front.minutes, front.turns, front.answered_share) == (3.0, 8, 0.75)
    assert (front.voice_to_voice_p50_ms, front.voice_to_voice_p95_ms) == (400.0, 500.0)
    assert front.outcomes == {"caller hung up": 1, "time limit": 1}
    assert found.days[0].figures.answered_share is None
    assert found.days[0].figures.voice_to_voice_p50_ms is None
    assert found.total.calls == 4
    assert found.total.outcomes == {"caller hung up": 2, "time limit": 1, "unknown": 1}


async def test_only_the_period_is_counted_and_block_by_block(
    site: Site, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics, "MAX_PAGE", 2)
    owner = await site.register("acme")
    ms = timedelta(milliseconds=1)
    for number, after in enumerate((-ms, 0 * ms, ms, timedelta(days=7) - ms, timedelta(days=7))):
        await store.documents.insert(CALLS, record(f"CA{number}", after, owner.company))
    other = {"agent_id": "back"}
    await store.documents.insert(CALLS, record("CB", timedelta(days=2), owner.company, **other))
    found = await owner.made("GET", f"{owner.base}/analytics", params=ASKED)
    assert found["total"]["calls"] == 4
    assert [one["day"] for one in found["days"]] == ["2026-11-23", "2026-11-25", "2026-11-29"]
    only = await owner.made("GET", f"{owner.base}/analytics", params=ASKED | other)
    assert (only["total"]["calls"], only["total"]["minutes"]) == (1, 1.5)


async def test_a_company_sees_its_own_calls_alone(site: Site, store: Store) -> None:
    owner, stranger = await site.register("acme"), await site.register("other")
    await store.documents.insert(CALLS, record("CA1", timedelta(hours=1), owner.company))
    agent = await site.invite(owner, "agent")
    seen = await agent.made("GET", f"{owner.base}/analytics", params=ASKED)
    assert seen["total"]["calls"] == 1
    mine = await stranger.made("GET", f"{stranger.base}/analytics", params=ASKED)
    assert (mine["total"]["calls"], mine["days"]) == (0, [])
    assert (await stranger.ask("GET", f"{owner.base}/analytics")).status_code == 404
    assert (await site.client.get(f"{owner.base}/analytics")).status_code == 401


async def test_without_a_period_it_is_the_last_week(site: Site) -> None:
    owner = await site.register("acme")
    found = await owner.made("GET", f"{owner.base}/analytics")
    first, last = date.fromisoformat(found["first"]), date.fromisoformat(found["last"])
    assert (last - first).days == 6


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"first": "2026-11-24", "last": "2026-11-23"}, "last"),
        ({"first": "2026-01-01", "last": "2026-04-03"}, "first"),
        ({"first": "yesterday"}, "first"),
        ({"first": "1969-12-31", "last": "1970-01-01"}, "first"),
        ({"last": "9999-12-31"}, "first"),
        ({"last": "0001-01-01"}, "first"),
        ({"agent_id": "a b"}, "agent_id"),
    ],
)
async def test_what_cannot_be_counted_is_refused(site: Site, asked: dict[str, str], field: str) -> None:
    owner = await site.register("acme")
    response = await owner.ask("GET", f"{owner.base}/analytics", params=asked)
    assert response.status_code == 422
    assert response.json()["errors"][0]["where"][-1] == field


def test_a_period_has_at_most_92_days() -> None:
    assert Period(date(2026, 1, 1), date(2026, 4, 2)).from_id.endswith("-")

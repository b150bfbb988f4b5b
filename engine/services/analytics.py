"""How a company's calls went: counted from the list of calls, for each day and agent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from engine.services.access import Access, InvalidField
from engine.store import Page, Store
from engine.store.documents import CALLS, MAX_PAGE
from models import CallRecord, dated_id
from models.analytics import Analytics, Day, Figures

MAX_DAYS = 92
MS_A_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days (UTC), `first` and `last` included. Raises InvalidField unless they are 1 to `MAX_DAYS`."""

    first: date
    last: date

    def __post_init__(self) -> None:
        days = self.last.toordinal() - self.first.toordinal() + 1
        if days < 1:
            raise InvalidField("last", "the last day is before the first")
        if days > MAX_DAYS:
            raise InvalidField("first", f"a period has at most {MAX_DAYS} days, and this one has {days}")
        # The two ends of what a call's id can say, less the day that `until_id` looks ahead.
        if self.first.year < 1970 or self.last >= date.max:
            raise InvalidField("first", "a period is between 1970 and 9999")

    @property
    def from_id(self) -> str:
        """Ids of its calls are above this one."""
        return dated_id(_midnight_ms(self.first), "")

    @property
    def until_id(self) -> str:
        """Ids of its calls are below this one."""
        return dated_id(_midnight_ms(self.last + timedelta(days=1)), "")


@dataclass(slots=True)
class _Tally:
    """Counts of some calls; figures are made from it at the end."""

    calls: int = 0
    duration_ms: int = 0
    turns: int = 0
    answered: int = 0
    latencies: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, record: CallRecord) -> None:
        self.calls += 1
        self.duration_ms += record.duration_ms or 0
        self.turns += record.turns
        self.answered += record.answered_turns
        self.latencies += record.voice_to_voice_ms
        self.outcomes[record.end_reason or "unknown"] += 1

    def figures(self) -> Figures:
        ordered = sorted(self.latencies)
        return Figures(
            calls=self.calls,
            minutes=round(self.duration_ms / MS_A_MINUTE, 2),
            turns=self.turns,
            answered_turns=self.answered,
            answered_share=round(self.answered / self.turns, 4) if self.turns else None,
            voice_to_voice_p50_ms=percentile(ordered, 50),
            voice_to_voice_p95_ms=percentile(ordered, 95),
            outcomes=dict(self.outcomes.most_common()),
        )


def percentile(ordered: list[float], percent: int) -> float | None:
    """The nearest rank: a value that was measured. None of nothing."""
    return ordered[-(-len(ordered) * percent // 100) - 1] if ordered else None


def count(records: Iterable[CallRecord], period: Period) -> Analytics:
    """Figures of ended calls. Live ones are left out: they would change what a day says."""
    total, days = _Tally(), defaultdict[tuple[date, str], _Tally](_Tally)
    for record in records:
        if record.status != "ended":
            continue
        total.add(record)
        days[record.started_at.astimezone(UTC).date(), record.agent_id].add(record)
    return Analytics(
        first=period.first,
        last=period.last,
        total=total.figures(),
        days=[
            Day(day=day, agent_id=agent_id, figures=days[day, agent_id].figures())
            for day, agent_id in sorted(days)
        ],
    )


async def calls_of(
    store: Store, access: Access, where: Mapping[str, str], period: Period
) -> AsyncIterator[CallRecord]:
    """The calls that began in a period, newest first, read block by block."""
    before: str | None = period.until_id
    while before is not None:
        page = Page(before=before, limit=MAX_PAGE)
        found = await store.documents.find(CALLS, access.company_id, where, page)
        for record in found:
            if record.id < period.from_id:
                return
            yield record
        before = found[-1].id if len(found) == MAX_PAGE else None


async def analyse(store: Store, access: Access, period: Period, agent_id: str | None = None) -> Analytics:
    """Figures of a company's calls, or of one agent's."""
    where = {} if agent_id is None else {"agent_id": agent_id}
    return count([record async for record in calls_of(store, access, where, period)], period)


def _midnight_ms(day: date) -> int:
    return round(datetime.combine(day, time(), UTC).timestamp() * 1000)

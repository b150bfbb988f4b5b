"""How long a list of calls takes where there are many: the API of a real server, over HTTP.

`python -m bench.platform.api` stores 100,000 ended calls of one company, starts the server on them, and asks
for pages of 50 at 50 requests a second, in turn the newest page, an old one, one of an agent, and one of a
caller. Requests are sent when they are due, whether the ones before are answered or not, and a request's time
counts from when it was due.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from engine.cli.server_process import ServerProcess
from engine.config import Settings
from engine.simulator.usage import machine, versions
from engine.store.documents import CALLS
from engine.store.sqlite import SqliteStore
from models import CallRecord, dated_id

RESULT = Path(__file__).parents[1] / "results" / "api_100k.json"
CONFIG = Path(__file__).parents[2] / "serve_config.yaml"
AGENTS, CALLERS = 10, 2_000
WARM_S = 2.0


def record(company: str, number: int, began: datetime) -> CallRecord:
    call_id = f"CA{number:06}"
    return CallRecord(
        id=dated_id(round(began.timestamp() * 1000), call_id),
        call_id=call_id,
        company_id=company,
        agent_id=f"agt{number % AGENTS}",
        caller=f"+1555{number % CALLERS:07}",
        called="+15550000000",
        status="ended",
        started_at=began,
        ended_at=began + timedelta(seconds=90),
        end_reason="caller hung up",
        duration_ms=90_000,
        turns=6,
        answered_turns=5,
        voice_to_voice_ms=(512.3, 498.0, 623.9, 455.1, 701.7, 540.2),
        prompt_tokens=2_400,
        completion_tokens=96,
    )


async def store_calls(data_dir: Path, company: str, count: int) -> None:
    store = SqliteStore(data_dir / "parley.db")
    first = datetime.now(UTC) - timedelta(seconds=60 * count)
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await store.documents.insert(CALLS, record(company, number, first + timedelta(minutes=number)))

    await asyncio.gather(*(some() for _ in range(32)))
    await store.close()


@contextmanager
def serving(settings: Settings) -> Iterator[ServerProcess]:
    server = ServerProcess(settings, config=CONFIG)
    try:
        for _ in server.wait_until_ready():
            pass
        yield server
    finally:
        server.stop()


async def load(
    client: httpx.AsyncClient, path: str, pages: list[dict[str, Any]], rate_hz: float, seconds: float
) -> list[float]:
    """Milliseconds of each request."""
    began = time.perf_counter()

    async def one(number: int) -> float:
        due = began + number / rate_hz
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        response = await client.get(path, params=pages[number % len(pages)])
        response.raise_for_status()
        assert len(response.json()["items"]) == 50
        return (time.perf_counter() - due) * 1000

    return list(await asyncio.gather(*(one(number) for number in range(round(rate_hz * seconds)))))


async def measure(settings: Settings, count: int, rate_hz: float, seconds: float) -> dict[str, Any]:
    base = f"http://{settings.host}:{settings.port}/api/v1"
    async with httpx.AsyncClient(base_url=base, timeout=30.0) as client:
        body = {
            "company": "Bench",
            "name": "Ann",
            "email": "ann@bench.example.com",
            "password": "long enough pass",
        }
        signed_in = (await client.post("/auth/register", json=body)).raise_for_status().json()
        company = signed_in["user"]["company_id"]
        client.headers["Authorization"] = f"Bearer {signed_in['session']['access_token']}"
        filled = time.perf_counter()
        await store_calls(settings.data_dir, company, count)
        filled_s = time.perf_counter() - filled
        path = f"/companies/{company}/calls"
        old = dated_id(round((datetime.now(UTC).timestamp() - 30 * count) * 1000), "")
        pages: list[dict[str, Any]] = [{}, {"cursor": old}, {"agent_id": "agt3"}, {"caller": "+15550000007"}]
        await load(client, path, pages, rate_hz, WARM_S)
        took = await load(client, path, pages, rate_hz, seconds)
    by_page = [np.percentile(took[n :: len(pages)], 95).round(1) for n in range(len(pages))]
    p50, p95, p99 = np.percentile(took, [50, 95, 99]).round(1)
    names = ("newest", "old", "of an agent", "of a caller")
    return {
        "calls": count,
        "stored_s": round(filled_s, 1),
        "requests": len(took),
        "rate_hz": rate_hz,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "max_ms": round(max(took), 1),
        "p95_ms_by_page": dict(zip(names, by_page, strict=True)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--rate", type=float, default=50.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--port", type=int, default=8000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        settings = Settings(data_dir=Path(place), port=arguments.port)
        with serving(settings):
            figures = asyncio.run(measure(settings, arguments.calls, arguments.rate, arguments.seconds))
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **figures,
        "machine": machine(),
        "versions": versions(),
    }
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()

"""Figures for those who run the installation."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine.metrics import CallMetrics
from tests.unit.test_api import Installation, client
from tests.unit.test_call_record import WHOLE, journal


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """(name, label values in order of the labels' names) -> value, as Prometheus reads it."""
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_call_is_counted() -> None:
    metrics = CallMetrics()
    metrics.saw(journal(*WHOLE))
    found = samples(metrics.text())
    assert found["parley_calls_started_total", ()] == 1
    assert found["parley_calls_ended_total", ("caller hung up",)] == 1
    assert found["parley_turns_total", ("false", "reply")] == 1
    assert found["parley_turns_total", ("false", "unknown")] == 1
    assert found["parley_voice_to_voice_seconds_count", ()] == 1
    assert found["parley_voice_to_voice_seconds_sum", ()] == pytest.approx(0.4305)
    assert found["parley_tokens_total", ("prompt",)] == 40


def test_what_tenants_and_callers_chose_is_no_label() -> None:
    metrics = CallMetrics()
    metrics.saw(journal(*WHOLE))
    for secret in ("+15550100", "front", "acme", "At nine", "CA1"):
        assert secret not in metrics.text()


@pytest.mark.parametrize(
    ("address", "token", "sent", "status"),
    [
        ("127.0.0.1", None, "", 200),
        ("203.0.113.9", None, "", 403),
        ("203.0.113.9", "scrape-me", "", 403),
        ("203.0.113.9", "scrape-me", "Bearer wrong", 403),
        ("203.0.113.9", "scrape-me", "Bearer scrape-me", 200),
    ],
)
async def test_metrics_are_for_operators(
    tmp_path: Path, address: str, token: str | None, sent: str, status: int
) -> None:
    options = {"metrics_token": token} if token else {}
    headers = {"Authorization": sent} if sent else {}
    async with client(Installation(), tmp_path, address, **options) as http:
        response: httpx.Response = await http.get("/metrics", headers=headers)
    assert response.status_code == status
    assert response.headers["content-type"].startswith(
        "text/plain" if status == 200 else "application/problem"
    )

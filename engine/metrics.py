"""What an operator watches, in Prometheus' terms. Fed with journal events by the one writer of journals.

So the figures are those of the whole cluster, wherever its calls live, and nothing on a call's way waits for
them. They begin at zero when the recorder restarts, which Prometheus' `rate` allows for. No label holds what
a tenant or a caller chose, so that the number of series stays small.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from models import CallEvent

ANSWER_S = (0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0)
CALL_S = (5, 15, 30, 60, 120, 300, 600, 1800, 3600)
STAGES = (
    ("pause", "speech_end", "asked"),
    ("stt", "asked", "transcript"),
    ("knowledge", "transcript", "context"),
    ("llm", "context", "first_token"),
    ("tts", "first_token", "first_audio"),
    ("turn_end", "speech_end", "confirmed"),
    ("playout", "released", "first_byte"),
)
"""(stage, the stamp that it begins with, the stamp that it ends with). `turn_end` runs beside the others."""


class CallMetrics:
    """Counters and histograms of calls, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._started = Counter("parley_calls_started", "calls begun", registry=registry)
        self._ended = Counter("parley_calls_ended", "calls ended", ["reason"], registry=registry)
        self._takeovers = Counter("parley_call_takeovers", "calls that got another actor", registry=registry)
        self._turns = Counter("parley_turns", "answers", ["kind", "interrupted"], registry=registry)
        self._answer = Histogram(
            "parley_voice_to_voice_seconds",
            "from the caller's last sound to the answer's first",
            buckets=ANSWER_S,
            registry=registry,
        )
        self._stage = Histogram(
            "parley_stage_seconds", "parts of it", ["stage"], buckets=ANSWER_S, registry=registry
        )
        self._served = Counter("parley_served", "who served a turn", ["stage", "by"], registry=registry)
        self._tokens = Counter("parley_tokens", "of the language model", ["kind"], registry=registry)
        self._failover = Counter(
            "parley_failover",
            "decisions of provider chains",
            ["stage", "provider", "what"],
            registry=registry,
        )
        self._vain = Counter("parley_vain", "work prepared for nothing", ["stage"], registry=registry)

    def saw(self, events: Iterable[CallEvent]) -> None:
        """Count journal events that were just written."""
        for event in events:
            match event.kind:
                case "call_started":
                    self._started.inc()
                case "attached":
                    self._takeovers.inc()
                case "call_ended":
                    self._ended.labels(_reason(event.data.get("reason", ""))).inc()
                case "heard":
                    self._heard(event.data)

    def _heard(self, data: Mapping[str, Any]) -> None:
        self._turns.labels(data["kind"], str(bool(data["interrupted"])).lower()).inc()
        stamps: Mapping[str, float] = data.get("stamps", {})
        for stage, begin, end in STAGES:
            _observe(self._stage.labels(stage), stamps, begin, end)
        _observe(self._answer, stamps, "speech_end", "first_byte")
        for kind, count in data.get("tokens", {}).items():
            self._tokens.labels(kind).inc(count)
        for stage, by in data.get("served", {}).items():
            self._served.labels(stage, by).inc()
        for stage, route in data.get("routes", {}).items():
            for decision in route:
                self._failover.labels(stage, decision["provider"], decision["what"]).inc()
        for stage, count in data.get("vain", {}).items():
            self._vain.labels(stage).inc(count)

    def text(self) -> str:
        """All of it, in Prometheus' text format."""
        return generate_latest(self.registry).decode()


def _observe(histogram: Histogram, stamps: Mapping[str, float], begin: str, end: str) -> None:
    """Stamps are Unix times in ms; one that is missing makes no observation."""
    if begin in stamps and end in stamps:
        histogram.observe(max(0.0, stamps[end] - stamps[begin]) / 1000)


def _reason(text: str) -> str:
    """A reason without what differs from call to call."""
    return text.split(":", 1)[0][:40] or "unknown"

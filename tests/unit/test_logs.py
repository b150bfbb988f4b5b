"""Lines in the log: one JSON object each, about whom they say."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator

import pytest

from engine import logs
from engine.config import settings


class Lines(logging.StreamHandler):  # type: ignore[type-arg]
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What Parley's loggers write from here on, set up as in a replica in production."""
    monkeypatch.setenv("PARLEY_LOG_FORMAT", "json")
    settings.cache_clear()
    handler = Lines()
    monkeypatch.setattr(logging, "StreamHandler", lambda: handler)
    loggers = [logging.getLogger(name) for name in logs.OURS]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers = []
    logs.set_up_logging()
    logs.set_up_logging()  # twice in a process, and still one line an event
    yield handler.lines
    settings.cache_clear()
    for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


async def handle(call_id: str, lines: list[str]) -> None:
    logs.bind(call_id=call_id)
    logs.bind(company_id=f"co of {call_id}")
    await asyncio.create_task(later(call_id))


async def later(call_id: str) -> None:
    await asyncio.sleep(0)
    logging.getLogger("engine.call").info("one of %s", call_id)


async def test_lines_are_about_what_is_handled(lines: list[str]) -> None:
    await asyncio.gather(*(asyncio.create_task(handle(call, lines)) for call in ("CA1", "CA2")))
    logging.getLogger("parley.server").info("about\nnobody")
    written = [json.loads(line) for line in lines]
    assert [line.get("call_id") for line in written] == ["CA1", "CA2", None]
    assert [line.get("company_id") for line in written] == ["co of CA1", "co of CA2", None]
    assert [line["message"] for line in written] == ["one of CA1", "one of CA2", "about\nnobody"]
    assert all("\n" not in line for line in lines)


def test_an_exception_is_on_the_same_line(lines: list[str]) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("parley.call").exception("it failed")
    (line,) = lines
    assert "ValueError: broken" in json.loads(line)["exception"]

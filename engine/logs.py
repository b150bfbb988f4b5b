"""One logging set-up for every process of the server: one line an event, no secrets, no transcripts.

Every line says which request, call and company it is about: whoever handles one binds its ids, and whatever
is logged in that task, and in the tasks it starts, carries them.
"""

from __future__ import annotations

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime

from engine.config import settings

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
OURS = ("parley", "engine", "actors", "deployments")
_about: ContextVar[dict[str, str]] = ContextVar("about", default={})  # noqa: B039 - never changed in place


def bind(**ids: str) -> None:
    """From here on, in this task and those that it starts, lines are about these ids."""
    _about.set(_about.get() | ids)


class AboutFilter(logging.Filter):
    """Puts the ids that are bound where the line is logged into its record."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.about = _about.get()
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def set_up_logging() -> None:
    """Parley's own loggers at the configured level; libraries at WARNING."""
    handler = logging.StreamHandler()
    handler.addFilter(AboutFilter())
    handler.setFormatter(JsonFormatter() if settings().logs_json else logging.Formatter(FORMAT))
    for name in OURS:
        logger = logging.getLogger(name)
        if not logger.handlers:
            logger.addHandler(handler)
            logger.propagate = False
        logger.setLevel(settings().log_level)

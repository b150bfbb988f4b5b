"""One logging set-up for every process of the server: one line an event, no secrets, no transcripts."""

from __future__ import annotations

import logging

from engine.config import settings

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def set_up_logging() -> None:
    """Parley's own loggers at the configured level; libraries at WARNING."""
    logger = logging.getLogger("parley")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter(FORMAT))
        logger.addHandler(handler)
        logger.propagate = False
    logger.setLevel(settings().log_level)

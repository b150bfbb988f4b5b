"""The priority of a thread: what is due later yields to what a caller waits for."""

from __future__ import annotations

import logging
import os
import sys
import threading

log = logging.getLogger("parley.priority")


def lower_priority(nice: int) -> None:
    """Give this thread, and all that it starts, the niceness `nice` (0 to 19) unless it is nicer already.

    Other systems than Linux set it for whole processes alone, so there this does nothing.
    """
    if sys.platform != "linux" or os.getpriority(os.PRIO_PROCESS, 0) >= nice:
        return
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)
    except OSError as error:  # a sandbox may forbid it
        log.warning("a thread keeps its priority: %s", error)

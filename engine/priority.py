"""The priority of a thread: what is due later yields to what a caller waits for."""

from __future__ import annotations

import os
import sys
import threading


def lower_priority(nice: int) -> None:
    """Give this thread, and all that it starts, the niceness `nice` (0 to 19). Other systems than Linux set
    it for whole processes alone, so there this does nothing."""
    if nice and sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), nice)

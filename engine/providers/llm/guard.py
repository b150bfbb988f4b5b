"""Keeps a server that is not ours no longer alive than its owner.

    python -m engine.providers.llm.guard COMMAND...

Runs the command in a process group of its own, with its output on stderr, until it ends or this program's
stdin closes, which it does when the owner stops it and when the owner is gone. Then the whole group gets
SIGTERM, and SIGKILL after `GRACE_S`. On Linux the kernel kills the command too if the guard is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time

GRACE_S = 10.0
PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent goes; elsewhere the closing of stdin must do."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    # A group of which all are gone needs no signal.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


def main(command: list[str]) -> int:
    if not command:
        sys.stderr.write("usage: python -m engine.providers.llm.guard COMMAND...\n")
        return 2
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=2, start_new_session=True, preexec_fn=die_with_parent
    )
    owner_gone = threading.Event()
    threading.Thread(target=_stop_with_owner, args=(child.pid, owner_gone), daemon=True).start()
    status = child.wait()
    if owner_gone.is_set():
        _let_group_end(child.pid)
    _signal_group(child.pid, signal.SIGKILL)
    return status if status >= 0 else 128 - status


def _stop_with_owner(group: int, owner_gone: threading.Event) -> None:
    while os.read(0, 4096):
        pass
    owner_gone.set()
    _signal_group(group, signal.SIGTERM)
    time.sleep(GRACE_S)
    _signal_group(group, signal.SIGKILL)


def _let_group_end(group: int) -> None:
    """Wait for the command's own children, which also got SIGTERM."""
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

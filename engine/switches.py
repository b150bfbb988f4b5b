"""What must be in the environment before Ray starts, and why. Ray reads these once, at import.

`parley serve` sets them; an operator who runs `ray start` and `serve deploy` sets them on every node
(`parley doctor --switches` prints them), and a replica refuses to start without the needed ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import ConfigurationError

LONGEST_CALL_S = 3600


@dataclass(frozen=True, slots=True)
class Switch:
    """`needed`: without it calls would break; the others are chosen for speed or quiet."""

    name: str
    value: str
    why: str
    needed: bool = False


SWITCHES: tuple[Switch, ...] = (
    Switch("RAY_SERVE_ENABLE_HA_PROXY", "1", "WebSockets go through HAProxy straight to the replica", True),
    Switch("RAY_SERVE_USE_GRPC_BY_DEFAULT", "1", "calls between deployments take half the time", True),
    Switch("RAY_AUTH_MODE", "token", "an open Ray cluster is remote code execution", True),
    Switch("RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD", "0", "a fifth of the edge's CPU"),
    Switch("RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S", "0", "the edge drains by calls, not by a timer"),
    Switch(
        "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S", str(LONGEST_CALL_S), "a reload must outlast the longest call"
    ),
    Switch("RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S", "1", "a dead HAProxy is back in 5 s, not 22"),
    Switch("RAY_USAGE_STATS_ENABLED", "0", "nothing is sent anywhere"),
    Switch("HF_HUB_OFFLINE", "1", "weights come from the manifest, never from a hub at run time"),
    Switch("TOKENIZERS_PARALLELISM", "false", "threads belong to the deployments"),
    Switch("OMP_NUM_THREADS", "1", "threads belong to the deployments"),
)


def with_switches(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment with every switch set that is not set already."""
    return {switch.name: switch.value for switch in SWITCHES} | dict(environ)


def check(environ: Mapping[str, str], *, platform: str) -> None:
    """Raise ConfigurationError, in one line, when a needed switch is missing.

    Outside Linux there is no HAProxy package: Serve's own proxy has to do.
    """
    for switch in SWITCHES:
        if not switch.needed or environ.get(switch.name) == switch.value:
            continue
        if switch.name == "RAY_SERVE_ENABLE_HA_PROXY" and platform != "linux":
            continue
        raise ConfigurationError(
            f"{switch.name}={switch.value} must be set before Ray starts ({switch.why}); "
            "use `parley serve`, or export it on every node"
        )

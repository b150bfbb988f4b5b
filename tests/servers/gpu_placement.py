"""Run by `test_gpu_placement` as a process of its own: shares of a GPU, on a Ray with one that is made up.

Takes a JSON object {application: ray_actor_options} on its command line; its last one has to wait until the
first has gone. Prints one JSON line: {application: running replicas} as `before` and `after` that, and as
`joined` what the recorder, which embeds SQLite, says once a second node has joined.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.exceptions import RayActorError
from ray.serve._private.common import ReplicaState

from actors.node import refuse_several_nodes
from actors.recorder import recorder

GPUS = 1
PLACED_S, UNPLACED_S = 20.0, 2.0


class Dummy:
    """Takes a place and does nothing with it."""


def running() -> dict[str, int]:
    """Running replicas of each application."""
    return {
        name: sum(
            deployment.replica_states.get(ReplicaState.RUNNING, 0)
            for deployment in application.deployments.values()
        )
        for name, application in serve.status().applications.items()
    }


def start(name: str, options: Mapping[str, Any]) -> None:
    # CPUs are not what is asked about here, and this machine may have few.
    actor = dict(options) | {"num_cpus": 0}
    deployment = serve.deployment(name=name, ray_actor_options=actor, graceful_shutdown_timeout_s=0)(Dummy)
    serve._run(deployment.bind(), name=name, route_prefix=None, _blocking=False)


def wait_for(wanted: set[str], within_s: float) -> dict[str, int]:
    """What runs once all of `wanted` do, or when the time is over."""
    deadline = time.monotonic() + within_s
    while True:
        found = running()
        if wanted <= {name for name, replicas in found.items() if replicas} or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def recorders_refusal() -> str:
    """Why the recorder, with SQLite in it, does not start here; empty when it does."""
    try:
        ray.get(recorder().append.remote([]))
    except RayActorError as error:
        return str(error)
    return ""


def main(deployments: Mapping[str, Mapping[str, Any]]) -> None:
    *first, last = deployments
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "num_gpus": GPUS})
    ray.init(address=cluster.address, namespace="parley", log_to_driver=False, logging_level=logging.ERROR)
    serve.start(proxy_location="Disabled")
    for name in first:
        start(name, deployments[name])
    wait_for(set(first), PLACED_S)
    start(last, deployments[last])
    before = wait_for({last}, UNPLACED_S)
    serve.delete(first[0])
    after = wait_for({last}, PLACED_S)
    refuse_several_nodes("SQLite")  # Alone it may start.
    cluster.add_node(num_cpus=0)
    print(json.dumps({"before": before, "after": after, "joined": recorders_refusal()}), flush=True)
    ray.shutdown()
    cluster.shutdown()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

"""What must hold on a node before a part of Parley runs there. Asked first by whatever starts there."""

from __future__ import annotations

import gc
import os
from typing import Any

import ray

from engine import switches
from engine.errors import ConfigurationError
from engine.logs import set_up_logging

LOOPBACK = "127.0.0.1"


def prepare_replica() -> None:
    """First thing in a Serve replica's constructor. Raises ConfigurationError without the needed switches."""
    switches.check(os.environ)
    set_up_logging()
    ip: str = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    if ip == LOOPBACK:
        keep_grpc_on_loopback()


def freeze_objects() -> None:
    """Last thing in an actor's start: what is there now stays, so the collector need not look at it again.

    Else a full collection in the middle of a call walks the objects of every module, which takes 85 ms. Serve
    does this for its replicas; other actors have to.
    """
    gc.collect()
    gc.freeze()


def keep_grpc_on_loopback() -> None:
    """On one machine: Serve's gRPC server of this replica listens on loopback alone.

    Serve binds it to every interface and has no setting for it. It asks for the token either way.
    """
    from ray.serve._private import replica

    module: Any = replica
    bind = module.add_port_to_grpc_server
    module.add_port_to_grpc_server = lambda server, address: bind(server, address.replace("[::]", LOOPBACK))


def refuse_several_nodes(store: str, mend: str = "run Parley on one node") -> None:
    """Raise ConfigurationError when an embedded store would be on a cluster: each node would have its own."""
    alive = sum(bool(node["Alive"]) for node in ray.nodes())  # type: ignore[no-untyped-call]
    if alive > 1:
        raise ConfigurationError(
            f"{store} is embedded: it belongs to one machine, and this cluster has {alive} nodes: {mend}"
        )

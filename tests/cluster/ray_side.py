"""What only Ray can tell about the running server, asked from a process of its own.

    python -m tests.cluster.ray_side ADDRESS

One JSON object a line comes in, one goes out. The tests' own process never imports Ray: its switches are read
at import, and a driver that joins a cluster changes the environment for all that runs after it.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError

from actors import NAMESPACE, SWITCHBOARD
from actors.switchboard import PREFIX

WITHIN_S = 30.0


def board() -> dict[str, Any]:
    """The switchboard's own account: live calls, idle actors."""
    switchboard: Any = ray.get_actor(SWITCHBOARD, NAMESPACE)
    stats: dict[str, Any] = ray.get(switchboard.stats.remote(), timeout=WITHIN_S)
    return stats


def actors() -> list[dict[str, Any]]:
    """Every call actor that lives: name, pid, calls so far, the call that it has."""
    names = [entry["name"] for entry in ray.util.list_named_actors(all_namespaces=True)]
    found: list[dict[str, Any]] = []
    for name in names:
        if name.startswith(PREFIX):
            try:
                actor: Any = ray.get_actor(name, NAMESPACE)
                found.append(ray.get(actor.stats.remote(), timeout=WITHIN_S))
            except (RayError, ValueError):
                continue  # died since it was listed
    return found


def ingest(company: str, document: str, text: str) -> int:
    handle = serve.get_app_handle("knowledge")
    return int(handle.ingest.remote(company, document, f"{document}.txt", text).result(timeout_s=WITHIN_S))


def search(company: str, query: str) -> list[float]:
    """Scores of the best passages for a question."""
    passages = serve.get_app_handle("knowledge").search.remote(company, query, 2, "en")
    return [passage.score for passage in passages.result(timeout_s=WITHIN_S)]


def info(app: str) -> dict[str, Any]:
    """What a model's deployment says of itself; waits for a replica."""
    said: dict[str, Any] = serve.get_app_handle(app).info.remote().result(timeout_s=WITHIN_S)
    return said


QUESTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (board, actors, ingest, search, info)
}


def main() -> None:
    ray.init(
        address=sys.argv[1],
        namespace=NAMESPACE,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _node_ip_address="127.0.0.1",
    )
    print("{}", flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": QUESTIONS[request.pop("ask")](**request)}
        except (RayError, ValueError, TimeoutError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()

"""What only Ray can tell about the running server, asked from a process of its own.

    python -m tests.cluster.ray_side ADDRESS

One JSON object a line comes in, one goes out. The tests' own process never imports Ray: its switches are read
at import, and a driver that joins a cluster changes the environment for all that runs after it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray import serve
from ray.exceptions import RayError

from actors import NAMESPACE, SWITCHBOARD
from actors.chains import Chains
from actors.switchboard import PREFIX
from engine.call.spec import CallSpec
from engine.errors import ProviderError
from engine.providers.base import ChatRequest, Message
from models import AgentConfig

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


def replies(chain: str, calls: str, turns: str) -> list[str]:
    """What the language models of a chain tell so many calls that ask at once, so many times.

    All calls are in this process; the vendors' actors and their breakers are the server's.
    """
    return asyncio.run(_replies(chain.split(","), int(calls), int(turns)))


async def _replies(chain: Sequence[str], calls: int, turns: int) -> list[str]:
    asked = ChatRequest((Message("user", "How much does a cleaning cost?"),))

    async def call(number: int) -> list[str]:
        spec = CallSpec(f"CA{number}", "demo", AgentConfig(id="demo", company_id="demo"))
        model = Chains({}).of("llm", chain, spec)
        return ["".join([delta.text async for delta in model.generate(asked)]) for _ in range(turns)]

    async with asyncio.timeout(WITHIN_S):
        said = await asyncio.gather(*(call(number) for number in range(calls)))
    return [text for texts in said for text in texts]


QUESTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function for function in (board, actors, ingest, search, info, replies)
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
        except (RayError, ProviderError, ValueError, TimeoutError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()

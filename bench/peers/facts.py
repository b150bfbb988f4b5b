"""The facts of a turn as a service on loopback, so that a peer looks up what Parley looks up.

    python -m bench.peers.facts

It wraps Parley's own answerer: courtesies, search, score threshold and prompt are the same code.
`POST /turn` takes `{"caller": text, "history": [{"caller", "agent", "facts"}]}` and returns
`{"messages", "facts"}` for the model, or `{"say"}`: a fixed phrase. `GET /agent` returns what a call needs
before its first turn.

Prints `{"base_url", "api_key"}` once it serves, or `{"error"}`; ends when its stdin closes.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from engine import demo
from engine.dialog import commands as cmd
from engine.dialog.answering import Answerer
from engine.dialog.attempt import Attempt
from engine.dialog.prompt import STOP, Exchange, warm_up
from engine.errors import ParleyError
from engine.knowledge.edge_index import EdgeIndex
from engine.knowledge.index import Space
from engine.knowledge.retrieve import Retriever
from engine.providers.base import Transcript
from engine.providers.embeddings.sentence_transformer import SentenceTransformerEmbedder
from engine.providers.llm.guard import die_with_parent
from engine.weights import folder
from models import AgentConfig

WEIGHTS = "minilm"
WARM_UP = "What are your opening hours?"


class PastTurn(BaseModel):
    caller: str
    agent: str = ""
    facts: tuple[str, ...] = ()


class TurnRequest(BaseModel):
    """What the caller said now, and the call so far."""

    caller: str
    history: tuple[PastTurn, ...] = ()


async def look_up(agent: AgentConfig, retriever: Retriever, asked: TurnRequest) -> dict[str, Any]:
    """The prompt for a turn, or the phrase that Parley would say to it."""
    answerer = Answerer(agent, "peer", 0)
    answerer.history = [Exchange(past.caller, past.agent, past.facts) for past in asked.history]
    attempt = Attempt(0, 0, {}, transcript=Transcript(asked.caller))
    wanted = answerer.plan(attempt)
    match wanted:
        case [cmd.Retrieve(query=query)]:
            passages = await retriever.search(
                agent.company_id, query, agent.passages, language=agent.language
            )
            wanted = answerer.answer_from(attempt, passages)
    match wanted:
        case [cmd.Generate(request=request)]:
            messages = [asdict(message) for message in request.messages]
            return {"messages": messages, "facts": list(attempt.facts)}
    said = attempt.reply.pieces if attempt.reply is not None else []
    return {"say": " ".join(piece.text for piece in said) or agent.phrases.not_heard}


def opening(agent: AgentConfig) -> dict[str, Any]:
    """What a call needs before its first turn; the limits are those of Parley's requests."""
    return {
        "greeting": agent.phrases.greeting,
        "warm_up": [asdict(message) for message in warm_up(agent, "peer").messages],
        "max_tokens": agent.max_tokens,
        "temperature": agent.temperature,
        "stop": list(STOP),
    }


def application(agent: AgentConfig, retriever: Retriever) -> FastAPI:
    app = FastAPI()

    @app.post("/turn")
    async def turn(asked: TurnRequest) -> dict[str, Any]:
        return await look_up(agent, retriever, asked)

    @app.get("/agent")
    async def first() -> dict[str, Any]:
        return opening(agent)

    return app


async def serve(place: Path) -> None:
    """Loads the demo company's knowledge into an index at `place` and serves until stdin closes."""
    agent = demo.agent()
    embedder = SentenceTransformerEmbedder(folder(WEIGHTS))
    index = await EdgeIndex.open(place, Space(embedder.name, embedder.dimension))
    retriever = Retriever(embedder, index)
    await retriever.ingest(agent.company_id, "demo", "clinic.txt", demo.knowledge())
    await retriever.search(agent.company_id, WARM_UP, agent.passages)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application(agent, retriever), log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    print(json.dumps({"base_url": address, "api_key": ""}), flush=True)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()
    server.should_exit = True
    await serving
    await index.close()
    embedder.close()


def main() -> int:
    die_with_parent()
    with tempfile.TemporaryDirectory() as place:
        try:
            asyncio.run(serve(Path(place)))
        except (ParleyError, OSError) as error:
            print(json.dumps({"error": f"the facts service did not start: {error}"}), flush=True)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

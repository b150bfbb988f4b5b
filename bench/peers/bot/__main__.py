"""The peer's server, on loopback: `python -m bench.peers.bot`, with `.venv-peers`.

Prints one JSON line once it takes calls, `{"base_url": "ws://...", "api_key": ""}`, or `{"error": ...}`.
It ends when its stdin closes, so that it never outlives what started it. Logs go to stderr.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
from pathlib import Path

import aiohttp
import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger

from bench.peers.bot.call import Addresses, House, answer_call
from bench.peers.bot.models import Models

KEY_VARIABLE = "PEER_LLM_KEY"


def say(**line: str) -> None:
    print(json.dumps(line), flush=True)


def application(house: House) -> FastAPI:
    app = FastAPI()

    @app.websocket("/media")
    async def media(socket: WebSocket) -> None:
        await socket.accept()
        await answer_call(socket, house)

    return app


async def wait_for_stdin_to_close() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


async def serve(arguments: argparse.Namespace) -> None:
    addresses = Addresses(
        llm_url=arguments.llm_url,
        llm_key=os.environ.get(KEY_VARIABLE, ""),
        llm_model=arguments.llm_model,
        facts_url=f"{arguments.facts_url}/turn",
        slots=arguments.slots,
    )
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{arguments.facts_url}/agent") as response:
            response.raise_for_status()
            agent = await response.json()
        models = Models.load(arguments.models)
        house = House(models, addresses, session, agent, free_slots=list(range(addresses.slots)))
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(application(house), log_level="warning", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        say(base_url=f"ws://127.0.0.1:{listening.getsockname()[1]}/media", api_key="")
        closing = asyncio.create_task(wait_for_stdin_to_close())
        await asyncio.wait({serving, closing}, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        await serving


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.peers.bot", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="Parley's models folder")
    parser.add_argument("--llm-url", required=True, help=f"OpenAI-compatible; the key is in {KEY_VARIABLE}")
    parser.add_argument("--llm-model", default="smollm2-135m")
    parser.add_argument("--facts-url", required=True)
    parser.add_argument("--slots", type=int, default=8, help="of llama.cpp's server; 0: it chooses")
    arguments = parser.parse_args()
    logger.remove()
    logger.add(sys.stderr, level="WARNING")
    try:
        asyncio.run(serve(arguments))
    except (OSError, ValueError, aiohttp.ClientError) as error:
        say(error=f"the peer did not start: {' '.join(str(error).split())}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

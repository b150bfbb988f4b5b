"""One call: a Pipecat pipeline behind a Twilio media stream. Its settings are explained in ../README.md."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from fastapi import WebSocket
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import TTSSpeakFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import (
    LLMContextAggregatorPair,
    LLMUserAggregatorParams,
)
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from bench.peers.bot.facts import Facts
from bench.peers.bot.models import CALL_HZ, Ears, Mind, Models, Mouth


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the language model and the facts are. `slots`: how many calls keep their prefix there."""

    llm_url: str
    llm_key: str
    llm_model: str
    facts_url: str
    slots: int


@dataclass(slots=True)
class House:
    """What all calls share. `agent`: greeting, warm-up prompt and limits, as the facts service gives them."""

    models: Models
    addresses: Addresses
    session: aiohttp.ClientSession
    agent: dict[str, Any]
    free_slots: list[int] = field(default_factory=list)


async def stream_id(socket: WebSocket) -> str:
    """Read up to Twilio's `start` message; raises KeyError or ValueError for anything else."""
    while True:
        message = json.loads(await socket.receive_text())
        if message["event"] == "start":
            return str(message["start"]["streamSid"])


def make_mind(house: House, slot: int | None) -> Mind:
    """The language model with the limits of Parley's agent; a slot of its own keeps the call's prefix."""
    extra: dict[str, Any] = {"stop": house.agent["stop"]}
    if slot is not None:
        extra["extra_body"] = {"id_slot": slot, "cache_prompt": True}
    settings = Mind.Settings(
        model=house.addresses.llm_model,
        temperature=house.agent["temperature"],
        max_tokens=house.agent["max_tokens"],
        seed=0,
        extra=extra,
    )
    return Mind(api_key=house.addresses.llm_key, base_url=house.addresses.llm_url, settings=settings)


async def answer_call(socket: WebSocket, house: House) -> None:
    """Serve one call until the caller hangs up."""
    serializer = TwilioFrameSerializer(
        await stream_id(socket), params=TwilioFrameSerializer.InputParams(auto_hang_up=False)
    )
    transport = FastAPIWebsocketTransport(
        socket, FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer)
    )
    slot = house.free_slots.pop(0) if house.free_slots else None
    mind = make_mind(house, slot)
    user, assistant = LLMContextAggregatorPair(
        LLMContext(), user_params=LLMUserAggregatorParams(vad_analyzer=SileroVADAnalyzer())
    )
    pipeline = Pipeline(
        [
            transport.input(),
            Ears(house.models.whisper),
            user,
            Facts(house.session, house.addresses.facts_url),
            mind,
            Mouth(house.models.voice),
            transport.output(),
            assistant,
        ]
    )
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=CALL_HZ, audio_out_sample_rate=CALL_HZ),
        enable_rtvi=False,
        enable_turn_tracking=False,
    )
    runner = WorkerRunner(handle_sigint=False)
    warming: list[asyncio.Task[Any]] = []

    @transport.event_handler("on_client_connected")
    async def connected(*_: Any) -> None:
        await worker.queue_frames([TTSSpeakFrame(house.agent["greeting"])])
        # As Parley does: the prompt's beginning is read while the greeting plays.
        warming.append(asyncio.create_task(mind.run_inference(LLMContext(house.agent["warm_up"]), 1)))

    @transport.event_handler("on_client_disconnected")
    async def disconnected(*_: Any) -> None:
        await runner.cancel()

    try:
        await runner.add_workers(worker)
        await runner.run()
    finally:
        await asyncio.gather(*warming, return_exceptions=True)
        if slot is not None:
            house.free_slots.append(slot)

"""A whole call without Ray: a socket, the edge, the link, the conductor, and obedient in-process models."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.audio.g711 import pcm_to_ulaw
from engine.call.conductor import Conductor
from engine.call.edge import EdgeCall, Line
from engine.call.recording import Recording
from engine.call.services import Deadlines, JournalFenced, Services
from engine.call.spec import ActorLost, Attach, Attached, CallSpec, NotThisCall
from engine.dialog.commands import EdgeCommand
from engine.dialog.events import EdgeEvent
from engine.errors import NoCapacity, ProviderUnavailable
from engine.link import Batch
from engine.providers.base import (
    ChatDelta,
    ChatRequest,
    Passage,
    Speech,
    SpeechRequest,
    Transcript,
)
from engine.providers.stt.session import BufferedSession
from models import AgentConfig, CallEvent

FRAME = 160
LOUD = pcm_to_ulaw((8_000 * np.sin(np.arange(FRAME) * 2 * np.pi * 440 / 8_000)).astype(np.int16))
QUIET = b"\xff" * FRAME
SAMPLES_A_CHARACTER = 120


def loudness_vad(chunk: NDArray[np.float32]) -> float:
    """Speech is what is loud: stands for the network where its judgement is not what is tested."""
    return 0.99 if float(np.abs(chunk).max()) > 0.02 else 0.01


class Models:
    """Every model of a call. `heard`: what the next utterance turns out to be; `answer`: what is said.

    `live`: it listens while the caller speaks. `pushed`: bytes that each of its sessions was given; `open`:
    sessions that nobody has closed. `broken`: so many transcriptions fail.
    """

    def __init__(self) -> None:
        self.live = False
        self.pushed: list[int] = []
        self.open = self.broken = 0
        self.changed = asyncio.Event()
        self.heard: list[str] = []
        self.answer = "We open at nine on weekdays. On Saturdays we open at ten in the morning."
        self.requests: list[ChatRequest] = []
        self.transcribed: list[int] = []
        self.hold_llm = asyncio.Event()
        self.hold_llm.set()

    def session(self, *, language: str = "en") -> BufferedSession:
        return _Counted(self, language)

    async def _transcribe(self, audio: bytes, language: str) -> Transcript:
        if self.broken:
            self.broken -= 1
            raise ProviderUnavailable("it broke off")
        self.transcribed.append(len(audio))
        self.changed.set()
        return Transcript(self.heard[0] if self.heard else "")

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until it holds; it is looked at whenever something was heard."""
        async with asyncio.timeout(8):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def score(self, audio: bytes) -> float:
        return 0.95

    async def words(self, text: str, language: str) -> float:
        return 0.9

    async def search(self, company_id: str, query: str, limit: int, language: str) -> Sequence[Passage]:
        return [Passage("We open at nine.", 0.9)]

    async def generate(self, request: ChatRequest) -> AsyncGenerator[ChatDelta, None]:
        if request.max_tokens == 1:  # reading the opening ahead of the first turn
            yield ChatDelta("", finish_reason="length")
            return
        self.requests.append(request)
        await self.hold_llm.wait()
        rest = self.answer.removeprefix(request.continue_from)
        for word in rest.split(" "):
            yield ChatDelta(f"{word} " if word else " ")
        yield ChatDelta("", finish_reason="stop")

    async def speak(self, request: SpeechRequest) -> AsyncGenerator[Speech, None]:
        frames = -(-len(request.text) * SAMPLES_A_CHARACTER // FRAME)
        yield Speech(LOUD * frames, request.voice)


class _Counted(BufferedSession):
    """A session of `models`, which see what becomes of it."""

    def __init__(self, models: Models, language: str) -> None:
        super().__init__(models._transcribe, language=language)
        self._models, self._place = models, len(models.pushed)
        models.pushed.append(0)
        models.open += 1

    def _take(self, audio: bytes) -> None:
        super()._take(audio)
        self._models.pushed[self._place] += len(audio)
        self._models.changed.set()

    async def close(self) -> None:
        self._models.open -= not self._closed
        await super().close()


class MemoryJournal:
    def __init__(self) -> None:
        self.events: list[CallEvent] = []

    async def append(self, events: Sequence[CallEvent]) -> None:
        if events and self.events and events[0].seq <= self.events[-1].seq:
            raise JournalFenced("these numbers are written")
        self.events.extend(events)

    async def read(self, company_id: str, call_id: str) -> Sequence[CallEvent]:
        return list(self.events)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.kind == kind]


class DirectPort:
    """A conductor as the edge's port. `kill` is like SIGKILL to an actor: every call fails from then on."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.conductor: Conductor | None = None
        self._dead = asyncio.Event()
        self._over = False

    async def kill(self) -> None:
        self._dead.set()
        if self.conductor is not None:
            await self.conductor.stop()

    async def attach(self, attach: Attach) -> Attached:
        self._living()
        if self.conductor is not None:
            self.conductor.reattach(attach)
        else:
            self.conductor = Conductor(attach, self.services, Deadlines(edge_silent=1.5))
            await self.conductor.start()
        return Attached(attach.epoch, self.conductor.position)

    async def hear(self, epoch: int, batch: Batch[EdgeEvent]) -> int:
        return self._living(epoch).hear(batch)

    async def commands(self, epoch: int, received: int, settled: int) -> Batch[EdgeCommand]:
        poll = asyncio.create_task(self._living(epoch).commands(received, settled))
        died = asyncio.create_task(self._dead.wait())
        try:
            await asyncio.wait([poll, died], return_when=asyncio.FIRST_COMPLETED)
            if self._dead.is_set():
                raise ActorLost("killed")
            return await poll
        finally:
            poll.cancel()
            died.cancel()

    async def hang_up(self, reason: str) -> None:
        """As the actor: returns when all is cleaned up, which the poll for commands does not wait for."""
        conductor = self._living()
        conductor.hang_up(reason)
        await conductor.finished.wait()
        await conductor.drained()
        await conductor.stop()
        self._over = True
        for _ in range(20):  # the switchboard is told, and polls are answered meanwhile
            await asyncio.sleep(0)

    def _living(self, epoch: int | None = None) -> Conductor:
        if self._dead.is_set():
            raise ActorLost("killed")
        if epoch is not None and (self._over or self.conductor is None or self.conductor.epoch != epoch):
            raise NotThisCall("another edge has the call")
        return self.conductor  # type: ignore[return-value]


class Socket:
    """The carrier's side: what a test sends, and what the edge sent."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self.sent: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        self.closed: int | None = None
        self._chunk = 0

    async def messages(self) -> AsyncIterator[str | bytes]:
        while (text := await self._inbox.get()) is not None:
            yield text

    async def send(self, text: str) -> None:
        message = json.loads(text)
        self.sent.append(message)
        if message["event"] == "mark":
            self.put(event="mark", mark=message["mark"])
        self.changed.set()

    async def close(self, code: int, reason: str) -> None:
        self.closed = code

    def put(self, **message: Any) -> None:
        self._inbox.put_nowait(json.dumps({"streamSid": "MZ1", **message}))

    def raw(self, text: str) -> None:
        self._inbox.put_nowait(text)

    def drop(self) -> None:
        self._inbox.put_nowait(None)

    def start(self) -> None:
        media = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
        start = {"streamSid": "MZ1", "callSid": "CA1", "accountSid": "AC1", "mediaFormat": media}
        self.put(event="start", start=start)

    def audio(self, frame: bytes, count: int) -> None:
        for _ in range(count):
            self._chunk += 1
            payload = base64.b64encode(frame).decode()
            timestamp = str(self._chunk * 20)
            self.put(
                event="media", media={"chunk": str(self._chunk), "timestamp": timestamp, "payload": payload}
            )

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [m["parley"] for m in self.sent if m["event"] == "parley" and m["parley"]["type"] == kind]

    @property
    def played_ms(self) -> float:
        """How much audio the edge sent."""
        payloads = (m["media"]["payload"] for m in self.sent if m["event"] == "media")
        return sum(len(base64.b64decode(payload)) for payload in payloads) / 8

    def count(self, event: str) -> int:
        return sum(message["event"] == event for message in self.sent)

    async def until(self, condition: Any, within_s: float = 8.0) -> None:
        """Wait until `condition()` holds; it is looked at after every message of the edge."""
        async with asyncio.timeout(within_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()


class CallBench:
    """One call that can be fed, killed and read."""

    def __init__(self, agent: AgentConfig) -> None:
        self.models = Models()
        self.journal = MemoryJournal()
        m = self.models
        self.services = Services(stt=m, turn=m, knowledge=m, llm=m, tts=m, journal=self.journal)
        self.spec = CallSpec("CA1", "acme", agent, events=True, grace_s=0.2)
        self.socket = Socket()
        self.recording: Recording | None = None
        self.ports = [DirectPort(self.services)]
        self.tasks: list[asyncio.Task[str]] = []
        self.epoch = 0

    async def _replace(self, lost: Line) -> Line:
        if self.journal.of("call_ended"):
            raise NoCapacity("the call is over")
        self.epoch += 1
        self.ports.append(DirectPort(self.services))
        return Line(self.ports[-1], self.epoch)

    def connect(self, socket: Socket | None = None) -> asyncio.Task[str]:
        """A call comes in; with another socket the carrier reconnects to a new edge."""
        task = self.open(socket)
        self.socket.start()
        return task

    def open(self, socket: Socket | None = None) -> asyncio.Task[str]:
        """A socket comes in and says nothing yet."""
        if socket is not None:
            self.socket = socket
            self.epoch += 1
        line = Line(self.ports[-1], self.epoch)
        edge = EdgeCall(self.spec, self.socket, loudness_vad, line, self._replace, self.recording)
        self.tasks.append(asyncio.create_task(_serve(edge)))
        return self.tasks[-1]

    async def ask(self, text: str) -> None:
        """The caller says half a second of something, then is silent."""
        self.models.heard = [text]
        self.socket.audio(LOUD, 25)
        self.socket.audio(QUIET, 15)

    async def close(self) -> None:
        self.socket.drop()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for port in self.ports:
            await port.kill()


async def _serve(edge: EdgeCall) -> str:
    try:
        return await edge.run()
    finally:
        await edge.finish()

"""The media edge: a Serve ingress where carriers' WebSockets end. One connection is one call."""

# No `from __future__ import annotations`: Serve looks at the class in `build`'s annotation.

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import Context
from typing import Any, TypeVar

from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field
from ray import serve
from ray.exceptions import RayError
from ray.serve import Application

from actors import SWITCHBOARD
from actors.named import NamedActor
from actors.node import prepare_replica, refuse_several_nodes
from actors.recorder import RemoteRecording, recorder
from actors.switchboard import Admission, Lease, switchboard
from engine import switches, weights
from engine.audio.vad import SileroVad
from engine.call.edge import EdgeCall, Line
from engine.call.spec import ActorLost, Attach, Attached, CallSpec
from engine.config import settings
from engine.dialog.commands import EdgeCommand
from engine.dialog.events import EdgeEvent
from engine.errors import ParleyError, Refused, TokenRefused
from engine.link import Batch
from engine.logs import bind
from engine.services.provider_keys import kept
from engine.store.open import StoreOpener
from engine.telephony import tokens
from models import CallKey

log = logging.getLogger("parley.edge")
app = FastAPI(openapi_url=None)
T = TypeVar("T")

ADMIT_S = 10.0
HEARTBEAT_S = 1.0
STORE_S = 2.0


class MediaArgs(BaseModel):
    """Arguments of the application; replicas and resources are in the `deployments` section."""

    longest_call_s: float = Field(default=1800.0, description="how long a stopping replica keeps its calls")


class WebSocketPeer:
    """Starlette's WebSocket as the edge's `Socket`."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def messages(self) -> AsyncIterator[str | bytes]:
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            yield text if text is not None else message["bytes"]

    async def send(self, text: str) -> None:
        try:
            await self._websocket.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            log.debug("the peer is gone; the reader will see it")

    async def close(self, code: int, reason: str) -> None:
        try:
            await self._websocket.close(code, reason)
        except (WebSocketDisconnect, RuntimeError):
            log.debug("the peer had closed already")


class ActorPort:
    """A call actor as the edge's `Port`."""

    def __init__(self, call: CallKey, name: str) -> None:
        self.name = name
        self._call = call
        self._actor = NamedActor(name)

    async def attach(self, attach: Attach) -> Attached:
        return await self._ask(lambda actor: actor.attach.remote(attach))

    async def hear(self, epoch: int, batch: Batch[EdgeEvent]) -> int:
        return await self._ask(lambda actor: actor.hear.remote(self._call, epoch, batch))

    async def commands(self, epoch: int, received: int, settled: int) -> Batch[EdgeCommand]:
        return await self._ask(lambda actor: actor.commands.remote(self._call, epoch, received, settled))

    async def hang_up(self, reason: str) -> None:
        await self._ask(lambda actor: actor.hang_up.remote(self._call, reason))

    async def _ask(self, call: Callable[[Any], Awaitable[T]]) -> T:
        try:
            return await self._actor.ask(call)
        except ParleyError:
            raise
        except (RayError, ValueError) as error:
            raise ActorLost(f"{type(error).__name__} from actor {self.name}") from error


class MediaEdge:
    """Admits sockets, serves them with `EdgeCall`, keeps their leases alive."""

    def __init__(self, args: MediaArgs) -> None:
        prepare_replica()
        if settings().mongodb_url is None:
            refuse_several_nodes("SQLite")
        keep_sockets_while_draining()
        # `serve deploy` starts nothing but deployments; where they run already this finds them.
        recorder()
        switchboard()
        self._vad = SileroVad(weights.folder("silero-vad"))
        self._store = StoreOpener(settings())
        self._leases: dict[CallKey, Lease] = {}
        self._switchboard = NamedActor(SWITCHBOARD)
        self._heart: asyncio.Task[None] | None = None

    @app.websocket("/{token:path}")
    async def media(self, websocket: WebSocket, token: str) -> None:
        """One call. A refusal closes before the handshake is accepted: the peer sees HTTP 403."""
        try:
            claims = tokens.verify(token, settings().signing_secret())
            bind(call_id=claims.call_id, company_id=claims.company_id)
            spec = await asyncio.wait_for(self._spec(claims), STORE_S)
            lease = await asyncio.wait_for(self._admit(spec, claims), ADMIT_S)
        except (ParleyError, TimeoutError, RayError) as error:
            log.warning("media socket refused: %s", _line(error))
            await websocket.close(1008)
            return
        peer = WebSocketPeer(websocket)
        call = self._call(spec, lease, peer)
        try:
            reason = await self._serve(spec, lease, call, websocket.accept)
            log.info("call %s left this edge: %s", spec.call_id, reason)
            await peer.close(1000, reason)
        finally:
            await call.finish()

    def _call(self, spec: CallSpec, lease: Lease, peer: WebSocketPeer) -> EdgeCall:
        state = self._vad.new_state()
        line = Line(ActorPort(spec.key, lease.actor), lease.epoch)
        recording = RemoteRecording(spec.company_id, spec.call_id) if spec.agent.record else None
        replace = self._replace(spec)
        return EdgeCall(
            spec, peer, lambda chunk: self._vad.probability(state, chunk), line, replace, recording
        )

    async def _serve(
        self, spec: CallSpec, lease: Lease, call: EdgeCall, accept: Callable[[], Awaitable[None]]
    ) -> str:
        self._leases[spec.key] = lease
        if self._heart is None or self._heart.done():
            self._heart = asyncio.create_task(
                self._beat(),
                name="lease heartbeat",
                context=Context(),  # about no call
            )
        try:
            await accept()
            return await call.run()
        finally:
            held = self._leases.get(spec.key)
            if held is not None and held.epoch == call.epoch:  # else a newer socket of the call is here
                del self._leases[spec.key]
            if not call.began:
                # Where there is no switchboard the lease runs out by itself.
                self._switchboard.tell(lambda board: board.unused.remote(lease))

    async def _spec(self, claims: tokens.MediaClaims) -> CallSpec:
        store = await self._store.get()
        company, agent, own = await asyncio.gather(
            store.company(claims.company_id),
            store.agent(claims.company_id, claims.agent_id),
            kept(store, claims.company_id),
        )
        if company is None or agent is None or company.status != "active":
            raise TokenRefused(f"no active company {claims.company_id} with an agent {claims.agent_id}")
        return CallSpec(
            provider_keys={key.vendor: key.sealed for key in own},
            call_id=claims.call_id,
            company_id=claims.company_id,
            agent=agent,
            company_limit=company.max_calls,
            events=claims.events,
            caller=claims.caller,
            called=claims.called,
            max_call_s=agent.max_call_s or settings().max_call_s,
            grace_s=settings().reconnect_grace_s,
        )

    async def _admit(self, spec: CallSpec, claims: tokens.MediaClaims) -> Lease:
        asked = Admission(spec.key, spec.company_limit, claims.token_id, claims.expires_at)
        return await self._switchboard.ask(lambda board: board.admit.remote(asked))

    def _replace(self, spec: CallSpec) -> Callable[[Line], Awaitable[Line]]:
        async def replace(lost: Line) -> Line:
            assert isinstance(lost.port, ActorPort)
            name = lost.port.name
            try:
                lease: Lease = await self._switchboard.ask(lambda board: board.replace.remote(spec.key, name))
            except Refused:
                raise
            except (RayError, ValueError) as error:
                raise ActorLost(f"the switchboard does not answer: {type(error).__name__}") from error
            self._leases[spec.key] = lease
            return Line(ActorPort(spec.key, lease.actor), lease.epoch)

        return replace

    async def _beat(self) -> None:
        """Tell the switchboard every second which calls live here; it may have been restarted."""
        while True:
            if self._leases:
                try:
                    await asyncio.wait_for(self._confirm(), HEARTBEAT_S)
                except (RayError, ValueError, TimeoutError) as error:
                    log.warning("the switchboard does not answer: %s", type(error).__name__)
            await asyncio.sleep(HEARTBEAT_S)

    async def _confirm(self) -> None:
        leases = list(self._leases.values())
        await self._switchboard.ask(lambda board: board.heartbeat.remote(leases))


def _line(error: BaseException) -> str:
    """Why, in one line: what Ray brings from another process has a traceback above it."""
    cause = getattr(error, "cause", error)
    return (str(cause).strip().splitlines() or ["no answer"])[-1]


def keep_sockets_while_draining() -> None:
    """A stopping replica keeps its calls until `graceful_shutdown_timeout_s`, not uvicorn's 30 s.

    Serve asks uvicorn to shut down when a replica drains, and uvicorn closes every WebSocket with 1012.
    The deployment's own time limit, the longest call, is the one that counts.
    """
    from uvicorn.protocols.websockets import websockets_sansio_impl

    protocol: Any = websockets_sansio_impl.WebSocketsSansIOProtocol
    protocol.shutdown = lambda self: None


# Serve pickles the class by value when it is wrapped, so everything that it names has to be there by now.
deployment = serve.deployment(name="MediaEdge", max_ongoing_requests=200, ray_actor_options={"num_cpus": 0})(
    serve.ingress(app)(MediaEdge)
)


def build(args: MediaArgs) -> Application:
    """The application, as `serve_config.yaml` asks for it. Raises ConfigurationError without the switches."""
    switches.check(os.environ)
    return deployment.options(graceful_shutdown_timeout_s=args.longest_call_s).bind(args)

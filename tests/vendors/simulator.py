"""A vendor that can be run here: its documented wire format on loopback, with faults to order.

A simulator is written from the vendor's public documentation, which its module cites, and refuses a wrong
request as the vendor would. It can serve in the test's own loop (`serving`) or in a thread (`in_thread`),
for tests whose clients live in other processes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

KEY = "right-key"
RETRY_AFTER_S = 7


class Fault(StrEnum):
    """What can be wrong with a vendor; REFUSE is not here, since then nobody listens (`nowhere`)."""

    UNAUTHORISED = "401"
    RATE_LIMITED = "429"
    SERVER_ERROR = "500"
    BLACK_HOLE = "takes the request and never answers"
    SLOW_DRIP = "answers a byte at a time, for ever as it seems"
    DIES = "drops the connection in mid-answer"
    MALFORMED = "sends half of something"
    WRONG_TYPE = "sends a web page"


STATUS = {Fault.UNAUTHORISED: 401, Fault.RATE_LIMITED: 429, Fault.SERVER_ERROR: 500}


@dataclass(frozen=True, slots=True)
class Seen:
    """A request: HTTP's method or "WEBSOCKET"."""

    method: str
    path: str
    query: str
    headers: dict[str, str]


class Dead(Exception):
    """Ends a connection without the end of its answer."""


class VendorSimulator(ABC):
    """One API of one vendor. Set `fault` at any time; it holds from the next request on.

    `seen`: all requests. `swallowed` is set when a request has gone into the black hole, `hung_up` when a
    client leaves before its answer is complete.
    """

    key: ClassVar[str] = KEY
    malformed: ClassVar[bytes] = b'{"half": '
    """What a broken answer looks like; an SSE vendor's begins with `data: `."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.seen: list[Seen] = []
        self.hung_up = threading.Event()
        self.swallowed = threading.Event()
        self.in_flight = 0
        self.most_in_flight = 0
        self._app = Starlette(routes=list(self.routes()))

    @abstractmethod
    def routes(self) -> Iterator[BaseRoute]: ...

    def error_body(self, status: int, message: str) -> dict[str, Any]:
        """An error's JSON, as this vendor writes it."""
        return {"error": {"message": message, "type": "error", "code": status}}

    def error(self, status: int, message: str) -> Response:
        headers = {"retry-after": str(RETRY_AFTER_S)} if status == 429 else {}
        return JSONResponse(self.error_body(status, message), status, headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        method = scope.get("method", "WEBSOCKET")
        self.seen.append(Seen(method, scope["path"], scope["query_string"].decode(), headers))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if scope["type"] == "http":
                await self._http(scope, receive, send)
            else:
                await self._websocket(scope, receive, send)
        finally:
            self.in_flight -= 1

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        match self.fault:
            case Fault.UNAUTHORISED | Fault.RATE_LIMITED | Fault.SERVER_ERROR as fault:
                await self.error(STATUS[fault], f"simulated {fault.name.lower()}")(scope, receive, send)
            case Fault.BLACK_HOLE:
                self.swallowed.set()
                await self._until_gone(receive)
            case Fault.WRONG_TYPE:
                page = Response("<html>Down for maintenance</html>", media_type="text/html")
                await page(scope, receive, send)
            case fault:
                await self._app(scope, receive, self._bent(send, receive, fault))

    def _bent(self, send: Send, receive: Receive, fault: Fault | None) -> Send:
        """`send`, with the answer's body bent by the fault."""

        async def bent(message: Message) -> None:
            if message["type"] == "http.response.start" and fault is not None:
                names = (b"content-length",)
                message["headers"] = [pair for pair in message["headers"] if pair[0] not in names]
            elif message["type"] == "http.response.body" and message["body"]:
                body = message["body"]
                match fault:
                    case Fault.DIES:
                        half = body[: max(1, len(body) // 2)] if not message.get("more_body") else body
                        await send({"type": "http.response.body", "body": half, "more_body": True})
                        raise Dead
                    case Fault.MALFORMED:
                        message = {**message, "body": self.malformed, "more_body": False}
                    case Fault.SLOW_DRIP:
                        await send({"type": "http.response.body", "body": body[:1], "more_body": True})
                        await self._until_gone(receive)
                        raise Dead
            await send(message)
            if fault is Fault.MALFORMED and message["type"] == "http.response.body":
                raise Dead

        return bent

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        match self.fault:
            case Fault.UNAUTHORISED | Fault.RATE_LIMITED | Fault.SERVER_ERROR as fault:
                await self.deny(send, STATUS[fault], f"simulated {fault.name.lower()}")
            case Fault.WRONG_TYPE:
                await self.deny(send, 200, "<html>Down for maintenance</html>")
            case Fault.BLACK_HOLE:
                await receive()
                await send({"type": "websocket.accept"})
                self.swallowed.set()
                await self._until_gone(receive)
            case fault:
                await self._app(scope, receive, self._bent_messages(send, receive, fault))

    def _bent_messages(self, send: Send, receive: Receive, fault: Fault | None) -> Send:
        async def bent(message: Message) -> None:
            if message["type"] == "websocket.send":
                match fault:
                    case Fault.DIES:
                        raise Dead
                    case Fault.MALFORMED:
                        message = {"type": "websocket.send", "text": self.malformed.decode()}
                    case Fault.SLOW_DRIP:
                        await self._until_gone(receive)
                        raise Dead
            await send(message)

        return bent

    async def deny(self, send: Send, status: int, message: str) -> None:
        """Refuse a WebSocket's handshake with an HTTP answer."""
        body = json.dumps(self.error_body(status, message)).encode()
        headers = [(b"content-type", b"application/json")]
        if status == 429:
            headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async def _until_gone(self, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] in ("http.disconnect", "websocket.disconnect"):
                self.hung_up.set()
                return

    def _server(self, listener: socket.socket) -> uvicorn.Server:
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL + 1)  # `Dead` is on purpose
        config = uvicorn.Config(self, log_config=None, access_log=False, lifespan="off", ws="websockets")
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        return server

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve in this loop; gives `http://127.0.0.1:PORT`."""
        with _listener() as listener:
            server = self._server(listener)
            # Without uvicorn's main loop and its way of ending, which sleep: a thousand tests would wait.
            await server.startup([listener])
            try:
                yield _url(listener)
            finally:
                await _stop(server)

    @contextmanager
    def in_thread(self) -> Iterator[str]:
        """Serve from a thread with a loop of its own; gives `http://127.0.0.1:PORT`."""
        with _listener() as listener:
            server = self._server(listener)
            thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
            thread.start()
            try:
                yield _url(listener)
            finally:
                server.should_exit = server.force_exit = True
                thread.join()


async def _stop(server: uvicorn.Server) -> None:
    for listening in server.servers:
        listening.close()
    for connection in list(server.server_state.connections):
        if (transport := getattr(connection, "transport", None)) is not None:
            transport.abort()
    tasks = list(server.server_state.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def _listener() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        listener.setblocking(False)
        yield listener


def _url(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def nowhere() -> Iterator[str]:
    """The base URL of a vendor that refuses connections: bound, so that nobody else gets the port."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unheard.getsockname()[1]}"

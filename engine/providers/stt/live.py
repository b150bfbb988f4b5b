"""Speech to text that listens while the caller speaks: one WebSocket an utterance.

Over the `websockets` package and not the vendors' SDKs: a session is one socket in one task, every await of
which can be cancelled; the SDKs bring threads, callbacks and reconnecting of their own.

A session connects at its first audio, so that the handshakes pass while the caller speaks. It goes through

    greeting   where the vendor speaks first; each message within `silence_s`
    talking    audio goes out as it is pushed and results come in; nobody owes anybody anything, but a send
               that does not get through within `silence_s` ends it
    answering  the vendor has had the last words and says what is left; each message within `silence_s`

and fails at once, at whatever point, when the vendor says that it does; `finish` then raises why.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.frames import CloseCode
from websockets.protocol import State

from engine.errors import ConfigurationError, ProviderError, ProviderTimeout, ProviderUnavailable
from engine.providers.base import Transcript
from engine.providers.stt.outbox import Outbox
from engine.providers.stt.session import LONGEST_S, UtteranceSession
from engine.providers.stt.utterance import Utterance
from engine.providers.stt.vendor import TELEPHONE, AudioFormat, VendorStt
from engine.providers.vendor import VendorOptions, error_by_status, reason_in

_log = logging.getLogger(__name__)
_log.setLevel(logging.INFO)  # at DEBUG, websockets writes all headers down, the key among them
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


@dataclass(frozen=True, slots=True)
class Line:
    """What a vendor is asked, and how it wants its audio.

    Messages hold whole multiples of `smallest_ms`, `largest_ms` at most. The last one may be shorter, or is
    filled up with `filler`, one byte of silence, where the vendor takes no shorter ones. `encode`: from the
    session's format.
    """

    query: Mapping[str, str]
    utterance: Utterance
    encode: Callable[[bytes], bytes] = bytes
    smallest_ms: int = 20
    largest_ms: int = 1_000
    filler: bytes = b""

    def filled(self, audio: bytes, size: int) -> bytes:
        return audio.ljust(size, self.filler) if self.filler else audio


class LiveStt(VendorStt):
    """A vendor that listens live. `options.connections` does not bind it: each is a caller who is speaking.

    Its sessions belong to those who open them; `close` has nothing of its own to close.
    """

    path: str

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        scheme, _, rest = self.base_url.partition("://")
        if scheme not in _SCHEMES or not urlsplit(self.base_url).hostname:
            raise ConfigurationError(f"{self.name}: {self.base_url!r} is no http(s) or ws(s) address")
        self.base_url = f"{_SCHEMES[scheme]}://{rest}"
        # Reading the authorities' certificates takes tens of ms: once, and not in every call.
        self._tls = ssl.create_default_context() if _SCHEMES[scheme] == "wss" else None

    @abstractmethod
    def line(self, form: AudioFormat, language: str) -> Line:
        """Raises ProviderRejected for what the vendor cannot do."""

    @abstractmethod
    def headers(self) -> dict[str, str]: ...

    def session(self, *, language: str = "en", audio: AudioFormat = TELEPHONE) -> LiveSession:
        return LiveSession(self, audio, language)

    async def transcribe(self, audio: bytes, form: AudioFormat, language: str) -> Transcript:
        session = self.session(language=language, audio=form)
        try:
            session.push(audio)
            return await session.finish()
        finally:
            await session.close()

    async def close(self) -> None:
        pass

    async def connect(self, line: Line) -> ClientConnection:
        # Pings are of no use: an utterance is short, and both ends know when they are owed something.
        return await connect(
            f"{self.base_url}{self.path}?{urlencode(line.query)}",
            additional_headers=self.headers(),
            compression=None,
            open_timeout=self.options.connect_s,
            close_timeout=self.options.connect_s,
            ping_interval=None,
            logger=_log,
            ssl=self._tls,
        )


class LiveSession(UtteranceSession):
    """An utterance that is transcribed as it is pushed.

    The first audio starts the task that connects; whatever goes wrong in it is raised by `finish`, and audio
    that is pushed after it goes nowhere. Cancelling `finish`, and closing, hang up.
    """

    def __init__(self, vendor: LiveStt, form: AudioFormat, language: str) -> None:
        super().__init__(longest_s=LONGEST_S, provider=vendor.name, bytes_per_s=form.bytes_per_s)
        self._vendor = vendor
        self._form = form
        self._language = language
        self._silence_s = vendor.options.silence_s
        self._outbox = Outbox()

    def _take(self, audio: bytes) -> None:
        if not audio:
            return
        if self._running is None:
            self._running = asyncio.ensure_future(self._run())
        if not self._running.done():
            self._outbox.push(audio)

    def _end(self) -> asyncio.Future[Transcript]:
        self._outbox.end()
        return self._running or asyncio.ensure_future(self._nothing())

    def _discard(self) -> None:
        self._outbox.clear()

    async def _nothing(self) -> Transcript:
        return Transcript("", self._language, served_by=self._vendor.served_by)

    async def _run(self) -> Transcript:
        with _mapped_socket_errors(self._provider):
            line = self._vendor.line(self._form, self._language)
            socket = await self._vendor.connect(line)
            try:
                await self._converse(socket, line)
            finally:
                _hang_up(socket, line.utterance)
        return line.utterance.transcript(self._pushed * 1_000 // self._form.bytes_per_s)

    async def _converse(self, socket: ClientConnection, line: Line) -> None:
        utterance = line.utterance
        while utterance.greets and not utterance.begun:
            await self._hear(socket, utterance, self._silence_s)
        with _first_failure():
            async with asyncio.TaskGroup() as tasks:
                listening = tasks.create_task(self._listen(socket, utterance))
                await self._talk(socket, line)
                listening.cancel()
        while not utterance.done:
            await self._hear(socket, utterance, self._silence_s)

    async def _talk(self, socket: ClientConnection, line: Line) -> None:
        """All audio until the end, then the last words. Ends early, and silently, when nobody is there."""
        sample = self._form.bytes_per_s // self._form.rate_hz
        smallest = -(-self._form.rate_hz * line.smallest_ms // 1_000) * sample
        largest = self._form.bytes_per_s * line.largest_ms // 1_000
        try:
            while chunk := await self._outbox.take(smallest, largest):
                if whole := chunk[: len(chunk) // sample * sample]:  # an empty message would be taken ill
                    await self._say(socket, line.encode(line.filled(whole, smallest)))
            line.utterance.ending = True
            for message in line.utterance.last_words:
                await self._say(socket, message)
        except ConnectionClosed:
            return  # who listens hears why

    async def _listen(self, socket: ClientConnection, utterance: Utterance) -> None:
        while not utterance.done:
            await self._hear(socket, utterance, None)

    async def _say(self, socket: ClientConnection, message: str | bytes) -> None:
        async with asyncio.timeout(self._silence_s):
            await socket.send(message)

    async def _hear(self, socket: ClientConnection, utterance: Utterance, within_s: float | None) -> None:
        try:
            async with asyncio.timeout(within_s):
                message = await socket.recv()
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd else CloseCode.ABNORMAL_CLOSURE
            utterance.closed(code, closed.rcvd.reason if closed.rcvd else "")
        else:
            utterance.take(message)


def _hang_up(socket: ClientConnection, utterance: Utterance) -> None:
    """Say goodbye without waiting for an answer, and let go of the socket.

    The farewell is written past `socket.send`, which may wait for a vendor that does not read.
    """
    if socket.state is State.OPEN:
        if not utterance.ending:
            socket.protocol.send_text(utterance.last_words[-1].encode())
        socket.protocol.send_close(CloseCode.NORMAL_CLOSURE)
        socket.transport.write(b"".join(socket.protocol.data_to_send()))
    socket.transport.abort()


@contextmanager
def _first_failure() -> Iterator[None]:
    """Of the failures of a TaskGroup, the first, as itself."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


@contextmanager
def _mapped_socket_errors(provider: str) -> Iterator[None]:
    """Errors of connecting and sending as ProviderErrors."""
    try:
        yield
    except InvalidStatus as refusal:
        raise _refused(provider, refusal) from refusal
    except TimeoutError as error:
        raise ProviderTimeout(f"{provider} sent nothing in time", provider=provider) from error
    except (OSError, WebSocketException) as error:
        reason = str(error) or type(error).__name__
        raise ProviderUnavailable(f"{provider} cannot be reached: {reason}", provider=provider) from error


def _refused(provider: str, refusal: InvalidStatus) -> ProviderError:
    response = refusal.response
    if response.status_code < 400:
        return ProviderUnavailable(
            f"{provider} answered {response.status_code} instead of opening a WebSocket", provider=provider
        )
    headers = {name.lower(): value for name, value in response.headers.raw_items()}
    return error_by_status(provider, response.status_code, reason_in(bytes(response.body)), headers)

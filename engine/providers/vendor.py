"""What all cloud vendors share: how one is set up, how its health is asked, how its errors become ours.

A vendor's module holds one class per kind. It speaks the vendor's documented protocol, through the vendor's
own SDK where that can be pointed at a base URL, and returns the results of `engine.providers.base`.
"""

from __future__ import annotations

import email.utils
import json
import re
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx2

from engine.errors import (
    ConfigurationError,
    ProviderError,
    ProviderRefusesUs,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnavailable,
)

_REASON_CHARS = 200
_QUOTED = re.compile(r"""(?<!\w)(["'`])(.*?)(?:\1(?!\w)|$)""", re.DOTALL)


@dataclass(frozen=True, slots=True)
class VendorOptions:
    """How to reach a vendor, and its knobs. Empty means the vendor class's own default; times in seconds.

    `silence_s`: the longest wait for the next bytes; the deadline of a whole request is the caller's.
    `extra`: what only this vendor knows (a region, a voice's stability); each class says which it takes.
    """

    api_key: str = field(default="", repr=False)
    base_url: str = ""
    model: str = ""
    voice: str = ""
    connect_s: float = 2.0
    silence_s: float = 10.0
    connections: int = 128
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """What came of a sample operation. `latency_ms`: of all of it, connecting included."""

    ok: bool
    detail: str
    latency_ms: int


class Vendor(ABC):
    """One vendor of one kind. Any number of requests at once; closed once, by its owner."""

    name: ClassVar[str]
    default_base_url: ClassVar[str]
    default_model: ClassVar[str]
    extras: ClassVar[frozenset[str]] = frozenset()
    """Names that `VendorOptions.extra` may have."""

    def __init__(self, options: VendorOptions) -> None:
        unknown = sorted(set(options.extra) - self.extras)
        if unknown:
            known = ", ".join(sorted(self.extras)) or "none"
            raise ConfigurationError(f"{self.name} has no option {unknown[0]!r}; its options: {known}")
        self.options = options
        self.model = options.model or self.default_model
        self.base_url = (options.base_url or self.default_base_url).rstrip("/")

    @abstractmethod
    async def sample(self) -> str:
        """A small operation that needs the key; returns a word on it. Raises ProviderErrors."""

    @abstractmethod
    async def close(self) -> None: ...

    async def check(self) -> Health:
        """Reachable, key accepted, how fast. Never raises a ProviderError."""
        began = time.monotonic()
        try:
            ok, detail = True, await self.sample()
        except ProviderError as error:
            ok, detail = False, str(error)
        return Health(ok, detail, round((time.monotonic() - began) * 1000))


class VendorHttp:
    """A vendor's HTTP API over one pool of connections. Raises ProviderErrors alone."""

    def __init__(self, vendor: Vendor, headers: Mapping[str, str]) -> None:
        options = vendor.options
        self._provider = vendor.name
        self._client = httpx2.AsyncClient(
            base_url=vendor.base_url,
            headers=dict(headers),
            timeout=httpx2.Timeout(options.silence_s, connect=options.connect_s),
            limits=httpx2.Limits(max_connections=options.connections),
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def json(self, method: str, path: str, **request: Any) -> Any:
        """Ask and parse the JSON that is answered."""
        with mapped_http_errors(self._provider):
            response = await self._client.request(method, path, **request)
        self._refuse_failed(response)
        return parse_json(response.content, self._provider)

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, *, content_type: str | tuple[str, ...], **request: Any
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body as it comes. `content_type`: what it must begin with. Leaving closes the connection."""
        with mapped_http_errors(self._provider):
            async with self._client.stream(method, path, **request) as response:
                if response.status_code >= 300:
                    await response.aread()
                self._refuse_failed(response)
                refuse_other_type(self._provider, response.headers, content_type)
                yield response.aiter_bytes()

    def _refuse_failed(self, response: httpx2.Response) -> None:
        if response.status_code >= 300:
            raise error_by_status(
                self._provider, response.status_code, reason_in(response.content), response.headers
            )


@contextmanager
def mapped_http_errors(provider: str) -> Iterator[None]:
    """httpx2's errors as ProviderErrors."""
    try:
        yield
    except httpx2.TimeoutException as error:
        raise ProviderTimeout(f"{provider} sent nothing in time", provider=provider) from error
    except httpx2.LocalProtocolError:
        # Its text is the header that cannot be sent, which may be the key.
        raise ProviderRefusesUs(
            f"{provider}: the request cannot be sent as HTTP", provider=provider
        ) from None
    except httpx2.HTTPError as error:
        reason = str(error) or type(error).__name__
        raise ProviderUnavailable(f"{provider} cannot be reached: {reason}", provider=provider) from error


def refuse_other_type(provider: str, headers: Mapping[str, str], content_type: str | tuple[str, ...]) -> None:
    """Raises ProviderUnavailable unless the answer's content type begins as it must."""
    kind = headers.get("content-type", "")
    if not kind.startswith(content_type):
        wanted = content_type if isinstance(content_type, str) else content_type[0]
        raise ProviderUnavailable(
            f"{provider} sent {kind or 'no content type'} instead of {wanted}", provider=provider
        )


def error_by_status(
    provider: str, status: int, reason: str, headers: Mapping[str, str] | None = None
) -> ProviderError:
    """An HTTP status as one of our errors, split by what may be done about it."""
    reason = without_quotes(reason)
    line = f"{provider} answered {status}: {reason}" if reason else f"{provider} answered {status}"
    if status == 408:
        return ProviderTimeout(line, provider=provider)
    if status == 429 or status >= 500:
        retry_after_s = _retry_after_s(headers or {})
        return ProviderUnavailable(line, provider=provider, retry_after_s=retry_after_s)
    if status in (401, 402, 403, 404):
        return ProviderRefusesUs(f"{line} (check its key, account and model)", provider=provider)
    return ProviderRejected(line, provider=provider)


def parse_json(body: bytes, provider: str) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise ProviderUnavailable(f"{provider} sent what is no JSON", provider=provider) from error


def reason_in(body: bytes) -> str:
    """The vendor's own words in an error's body, if it is JSON of one of the usual shapes; one line."""
    try:
        found: Any = json.loads(body)
    except ValueError:
        return ""
    for _ in range(4):
        match found:
            case {"error": inner} | {"detail": inner} | {"message": inner} | {"err_msg": inner} | [inner, *_]:
                found = inner
            case str():
                return " ".join(found.split())[:_REASON_CHARS]
            case _:
                return ""
    return ""


def without_quotes(reason: str) -> str:
    """A vendor's words without the sentences in them: it may quote the request, which is what was said.

    Single words between quotes are names of models, voices and fields, and stay.
    """
    return _QUOTED.sub(lambda quoted: "[...]" if len(quoted[2].split()) > 1 else quoted[0], reason)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
    value = headers.get("retry-after", "").strip()
    if value.replace(".", "", 1).isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None

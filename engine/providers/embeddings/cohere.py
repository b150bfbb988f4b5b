"""Embeddings by Cohere: version 2 of its API.

Source: docs.cohere.com/reference/embed, .../docs/cohere-embed and .../reference/errors. A text of more tokens
than the model reads (128,000; version 3, 512) loses its end (`truncate`, by default).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import cohere
import httpx
from cohere.core.api_error import ApiError

from engine.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from engine.providers.base import Role
from engine.providers.embeddings.vendor import Dimensions, VendorEmbedder
from engine.providers.vendor import VendorOptions, error_by_status

_VERSION_5 = Dimensions(2048, {256, 512, 768, 1024, 1536, 2048})
_VERSION_3 = Dimensions(1024, {1024})
_VERSION_3_LIGHT = Dimensions(384, {384})
_INPUT_TYPES: Mapping[Role, str] = {"query": "search_query", "document": "search_document"}


class CohereEmbedder(VendorEmbedder):
    name: ClassVar[str] = "cohere"
    default_base_url: ClassVar[str] = "https://api.cohere.com"
    default_model: ClassVar[str] = "embed-v4.0"
    dimensions: ClassVar[Mapping[str, Dimensions]] = {
        "embed-v5.0-pro": _VERSION_5,
        "embed-v5.0-fast": _VERSION_5,
        "embed-v4.0": Dimensions(1536, {256, 512, 1024, 1536}),
        "embed-english-v3.0": _VERSION_3,
        "embed-multilingual-v3.0": _VERSION_3,
        "embed-english-light-v3.0": _VERSION_3_LIGHT,
        "embed-multilingual-light-v3.0": _VERSION_3_LIGHT,
    }
    batch: ClassVar[int] = 96

    def __init__(self, options: VendorOptions) -> None:
        super().__init__(options)
        timeout = httpx.Timeout(options.silence_s, connect=options.connect_s)
        self._http = httpx.AsyncClient(
            timeout=timeout, limits=httpx.Limits(max_connections=options.connections)
        )
        # Without a timeout of its own the SDK leaves that to the client that it is given.
        self._client = cohere.AsyncClientV2(
            options.api_key, base_url=self.base_url, max_retries=0, httpx_client=self._http
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, texts: Sequence[str], role: Role) -> Any:
        asked: dict[str, Any] = {"output_dimension": self.asked_dimension} if self.asked_dimension else {}
        try:
            return await self._client.embed(
                model=self.model,
                input_type=_INPUT_TYPES[role],
                texts=texts,
                embedding_types=["float"],
                **asked,
            )
        except (ApiError, httpx.HTTPError, ValueError, AttributeError, TypeError) as error:
            raise _provider_error(error, self.name) from error

    def read(self, answer: Any) -> list[list[float]]:
        vectors: list[list[float]] = answer.embeddings.float_
        return vectors


def _provider_error(error: Exception, name: str) -> ProviderError:
    """The SDK's error as one of ours, split by whether another provider may be asked."""
    match error:
        case httpx.TimeoutException():
            return ProviderTimeout(f"{name} sent nothing in time", provider=name)
        case httpx.HTTPError():
            reason = str(error) or type(error).__name__
            return ProviderUnavailable(f"{name} cannot be reached: {reason}", provider=name)
        case ApiError(status_code=int(status)) if status >= 300:
            reason = error.body.get("message", "") if isinstance(error.body, dict) else ""
            return error_by_status(name, status, str(reason), error.headers)
        case _:
            return ProviderUnavailable(f"{name} sent what cannot be read", provider=name)

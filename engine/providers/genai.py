"""What Gemini's vendors share: Google's SDK, kept to our timeouts, and its errors as ours.

Sources: ai.google.dev/gemini-api/docs/troubleshooting; google.rpc.ErrorInfo and RetryInfo in
github.com/googleapis/googleapis.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
from google import genai
from google.genai import errors, types

from engine.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from engine.providers.vendor import Vendor, error_by_status

FAILURES = (errors.APIError, httpx2.HTTPError, ValueError, TypeError, AttributeError, KeyError)
"""What the SDK raises over an answer; the last four where its JSON is not of the form that it expects."""

_OPERATOR_MUST_ACT = frozenset({"API_KEY_INVALID", "FAILED_PRECONDITION"})
"""Google answers 400 to a wrong key, and where billing must be enabled, as it does to a wrong request."""


class GenAiHttp(httpx2.AsyncClient):
    """What the SDK sends through: it knows one timeout for everything, and would tell the server of it."""

    def __init__(self, vendor: Vendor) -> None:
        options = vendor.options
        super().__init__(
            timeout=httpx2.Timeout(options.silence_s, connect=options.connect_s),
            limits=httpx2.Limits(max_connections=options.connections),
        )

    def build_request(self, *args: Any, **kwargs: Any) -> httpx2.Request:
        kwargs.pop("timeout", None)  # ours hold
        return super().build_request(*args, **kwargs)


def sdk(vendor: Vendor, http: httpx2.AsyncClient, api_version: str) -> genai.Client:
    """The SDK over `http`, which stays its caller's to close; it asks once."""
    return genai.Client(
        vertexai=False,
        api_key=vendor.options.api_key,
        http_options=types.HttpOptions(
            base_url=vendor.base_url,
            api_version=api_version,
            httpx_async_client=http,
            retry_options=types.HttpRetryOptions(attempts=1),
        ),
    )


def provider_error(error: Exception, name: str) -> ProviderError:
    """One of `FAILURES` as one of ours, split by whether another provider may be asked."""
    match error:
        case httpx2.TimeoutException():
            return ProviderTimeout(f"{name} sent nothing in time", provider=name)
        case httpx2.HTTPError():
            reason = str(error) or type(error).__name__
            return ProviderUnavailable(f"{name} cannot be reached: {reason}", provider=name)
        case errors.APIError(code=int(status)):
            details = _details(error.details)
            if status == 400 and {error.status, details.get("reason")} & _OPERATOR_MUST_ACT:
                status = 403
            reason = " ".join(str(error.message or "").split())
            headers = getattr(error.response, "headers", None) or {}
            return error_by_status(name, status, reason, {**_retry_after(details), **headers})
        case _:
            return ProviderUnavailable(f"{name} sent what cannot be read", provider=name)


def _details(body: Any) -> dict[str, Any]:
    """The fields of all of an error's details (google.rpc.Status) together."""
    match body:
        case {"error": {"details": [*details]}}:
            return {key: value for each in details if isinstance(each, dict) for key, value in each.items()}
        case _:
            return {}


def _retry_after(details: Mapping[str, Any]) -> dict[str, str]:
    """RetryInfo, a duration such as "7s", as the header that would say the same."""
    delay = details.get("retryDelay")
    return {"retry-after": delay.removesuffix("s")} if isinstance(delay, str) else {}

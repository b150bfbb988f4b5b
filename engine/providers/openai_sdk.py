"""OpenAI's SDK for whoever speaks its API: kept to our timeouts, and its errors as ours."""

from __future__ import annotations

import httpx2
import openai

from engine.errors import ProviderError, ProviderTimeout, ProviderUnavailable
from engine.providers.vendor import Vendor, error_by_status, reason_in, without_quotes


def sdk(vendor: Vendor) -> openai.AsyncOpenAI:
    """A vendor's client, which is its owner's to close; it asks once."""
    options = vendor.options
    return openai.AsyncOpenAI(
        base_url=vendor.base_url,
        api_key=options.api_key,
        max_retries=0,
        timeout=httpx2.Timeout(options.silence_s, connect=options.connect_s),
        http_client=openai.DefaultAsyncHttpxClient(limits=httpx2.Limits(max_connections=options.connections)),
    )


def provider_error(error: Exception, name: str) -> ProviderError:
    """The vendor's error as one of ours, split by whether another provider may be asked."""
    match error:
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return ProviderTimeout(f"{name} sent nothing in time", provider=name)
        case openai.APIConnectionError():
            return ProviderUnavailable(f"{name} cannot be reached: {error.__cause__ or error}", provider=name)
        case openai.APIStatusError():
            return error_by_status(
                name, error.status_code, reason_in(error.response.content), error.response.headers
            )
        case openai.APIError() if error.code is not None and error.code.isdigit():
            return error_by_status(name, int(error.code), error.message)
        case _:
            return ProviderUnavailable(f"{name} broke off: {without_quotes(str(error))}", provider=name)

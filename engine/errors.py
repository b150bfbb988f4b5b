"""Every error Parley raises, split by what the caller should do about it.

    ParleyError
    ├── UsageError             the person at the terminal or the API must change the request
    │   ├── ConfigurationError   a setting, a missing extra, a switch that Ray needs
    │   ├── WeightsError         a model file is missing or damaged: `parley models pull NAME`
    │   └── DocumentError        a knowledge document cannot be read
    ├── ProtocolError          the peer on a wire sent what its protocol does not allow
    ├── Refused                not now or not you: the answer is final for this request
    │   ├── TokenRefused         a media token is wrong, expired or used before
    │   └── NoCapacity           no lease: the company or the cluster is at its limit
    └── ProviderError          a model or a vendor failed
        ├── ProviderTimeout      it passed its deadline: another may be asked
        ├── ProviderUnavailable  it cannot be reached or is overloaded: another may be asked
        ├── ProviderRefusesUs    it serves nothing of ours (key, account, model) until an operator acts
        └── ProviderRejected     it refused the request itself: asking again cannot help

A message is one clear line that says what to do. Nothing in Parley raises bare `Exception`.
"""


class ParleyError(Exception):
    """Base of everything that Parley raises on purpose."""


class UsageError(ParleyError):
    """A person asked for something that cannot be done as asked; the message says what to change."""


class ConfigurationError(UsageError):
    """A setting is wrong or missing."""


class WeightsError(UsageError):
    """A model file is missing, damaged or cannot be fetched."""


class DocumentError(UsageError):
    """A knowledge document cannot be read or indexed."""


class ProtocolError(ParleyError):
    """The peer sent something that its protocol does not allow."""


class Refused(ParleyError):
    """The request was understood and turned down."""


class TokenRefused(Refused):
    """A media token is malformed, wrongly signed, expired or already used."""


class NoCapacity(Refused):
    """The company or the cluster has as many calls as it may have."""


class ProviderError(ParleyError):
    """A model or a vendor failed; `provider` names it."""

    def __init__(self, message: str, *, provider: str = "") -> None:
        super().__init__(message)
        self.provider = provider


class ProviderTimeout(ProviderError):
    """The provider passed its deadline."""


class ProviderUnavailable(ProviderError):
    """The provider cannot be reached, is overloaded or died in the middle.

    `retry_after_s`: how long it asked to be left alone, where it did.
    """

    def __init__(self, message: str, *, provider: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, provider=provider)
        self.retry_after_s = retry_after_s


class SessionLost(ProviderUnavailable):
    """A live session is gone, or has not got all of the audio: another, with all of it, may well work."""


class ProviderRefusesUs(ProviderError):
    """The provider does not take our key, account or model name: only an operator can mend that."""


class ProviderRejected(ProviderError):
    """The provider refused the request itself."""

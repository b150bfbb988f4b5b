"""X-Twilio-Signature: is a webhook really Twilio's?

Twilio signs the public URL as it called it, query included, followed by the name and value of every POST
parameter in name order: HMAC-SHA1 with the account's auth token, base64. A JSON body is signed by its
SHA-256, which the URL carries as `bodySHA256`. Ports are a grey zone: the signed URL may have the default
port, or lack any.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import parse_qs, urlsplit, urlunsplit

_DEFAULT_PORTS = {"https": 443, "http": 80}


def sign(auth_token: str, url: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
    """The signature for a form-encoded POST (or a GET) to `url`; equal pairs count once."""
    text = url + "".join(name + value for name, value in sorted(set(parameters)))
    digest = hmac.new(auth_token.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode("ascii")


def is_signed(signature: str, auth_token: str, url: str, parameters: Iterable[tuple[str, str]] = ()) -> bool:
    """Whether `signature` is Twilio's for this request; takes the same time for every wrong one."""
    pairs = list(parameters)
    given = signature.encode("utf-8", "surrogatepass")
    matches = [
        hmac.compare_digest(sign(auth_token, form, pairs).encode(), given) for form in _port_forms(url)
    ]
    return any(matches)


def is_signed_body(signature: str, auth_token: str, url: str, body: bytes) -> bool:
    """As `is_signed`, for a body that is not form-encoded: the URL names its SHA-256."""
    claimed = parse_qs(urlsplit(url).query).get("bodySHA256", [""])[-1]
    actual = hashlib.sha256(body).hexdigest()
    same = hmac.compare_digest(claimed.lower().encode("utf-8", "surrogatepass"), actual.encode())
    return is_signed(signature, auth_token, url) and same


def _port_forms(url: str) -> list[str]:
    """The URL as it is, without a port, and with its scheme's default port."""
    try:
        parts = urlsplit(url)
    except ValueError:  # made from a Host header that is none: nothing signed matches it
        return [url]
    user, at, host = parts.netloc.rpartition("@")
    bare = host if host.endswith("]") else host.rsplit(":", 1)[0]
    forms = [url, urlunsplit(parts._replace(netloc=f"{user}{at}{bare}"))]
    if parts.scheme in _DEFAULT_PORTS:
        forms.append(urlunsplit(parts._replace(netloc=f"{user}{at}{bare}:{_DEFAULT_PORTS[parts.scheme]}")))
    return list(dict.fromkeys(forms))

"""Where a request comes from, and under which URL its sender knows this server.

Two questions with security in them, answered in one place. *Local* means: sent on this machine, to this
machine, through no proxy or tunnel. Forwarding headers count only from `trusted_proxies`.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from engine.config import Settings

_FORWARDING = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")


def is_loopback(host: str) -> bool:
    """Whether a host name or address (no port) is this machine's loopback."""
    name = host.strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_local(request: HTTPConnection) -> bool:
    """Whether the sender is on this machine and speaks to it by a loopback name.

    The peer may also be the machine's own address (the ingress connects to its replicas by it). A Host that
    is not loopback is DNS rebinding or a tunnel; a forwarding header is a proxy in front: neither is local.
    """
    if any(name in request.headers for name in _FORWARDING):
        return False
    client, server = request.scope.get("client"), request.scope.get("server")
    if client is None or not (is_loopback(client[0]) or (server is not None and client[0] == server[0])):
        return False
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    except ValueError:  # no host name at all, such as an unclosed bracket
        return False
    return host is not None and is_loopback(host)


def is_same_origin(request: HTTPConnection) -> bool:
    """Whether a browser says that the page which sent this is our own; True for what is no browser."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return (
        origin is None
        or origin.lower() == f"{request.url.scheme}://{request.headers.get('host', '')}".lower()
    )


def public_base(request: HTTPConnection, settings: Settings) -> str:
    """The scheme and host under which the sender reaches this server, such as https://voice.example.com.

    `settings.public_url` when set; else what a trusted proxy forwards; else the request's own Host.
    """
    if settings.public_url:
        url = settings.public_url.rstrip("/")
        return url if "://" in url else f"https://{url}"
    scheme, host = request.url.scheme, request.headers.get("host", request.url.netloc)
    client = request.scope.get("client")
    if client is not None and _is_trusted(client[0], settings.trusted_proxies):
        scheme = request.headers.get("x-forwarded-proto", scheme).split(",")[-1].strip()
        host = request.headers.get("x-forwarded-host", host).split(",")[-1].strip()
    return f"{scheme}://{host}"


def client_address(request: HTTPConnection, settings: Settings) -> str | None:
    """Who is behind the trusted proxies, by what the last of them forwards; None when none says.

    The peer itself is never an answer: it is the ingress, and everybody comes from there.
    """
    client = request.scope.get("client")
    if client is None or not _is_trusted(client[0], settings.trusted_proxies):
        return None
    for hop in reversed(",".join(request.headers.getlist("x-forwarded-for")).split(",")):
        try:
            address = str(ipaddress.ip_address(hop.strip()))
        except ValueError:  # what stands before it was written by anybody
            return None
        if not _is_trusted(address, settings.trusted_proxies):
            return address
    return None


def public_target(request: HTTPConnection, settings: Settings) -> str:
    """The whole URL that the sender called, path and query as they were sent."""
    path: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    query: bytes = request.scope.get("query_string", b"")
    target = path.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
    return public_base(request, settings) + target


def _is_trusted(address: str, proxies: tuple[str, ...]) -> bool:
    try:
        ip = ipaddress.ip_address(address)
        return any(ip in ipaddress.ip_network(proxy, strict=False) for proxy in proxies)
    except ValueError:
        return False

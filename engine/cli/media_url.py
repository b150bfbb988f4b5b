"""`parley media-url`: one URL at which a Twilio-protocol client can call an agent."""

from __future__ import annotations

import json
import socket

import click

from engine.config import Settings, settings
from engine.errors import ConfigurationError
from engine.telephony.tokens import MediaClaims, local_url, media_url, new_call_id

CONNECT_TIMEOUT_S = 0.5


@click.command("media-url")
@click.option("--agent", default="demo", show_default=True, help="Id of the agent that answers.")
@click.option("--company", default="demo", show_default=True, help="Id of the agent's company.")
@click.option(
    "--ttl",
    type=click.FloatRange(min=1, max=86_400),
    default=None,
    help="Seconds for which the URL is good; PARLEY_MEDIA_TOKEN_TTL_S by default.",
)
@click.option("--events", is_flag=True, help="Also send the transcript and timings over the socket.")
@click.option("--json", "as_json", is_flag=True, help="Print an object with url, call_id and expires_in_s.")
def command(agent: str, company: str, ttl: float | None, events: bool, as_json: bool) -> None:
    """Print a WebSocket URL, good for one call to AGENT on the server that runs on this machine."""
    config = settings()
    _check_listening(config)
    ttl_s = ttl or config.media_token_ttl_s
    claims = MediaClaims(company, agent, new_call_id(), events=events)
    url = media_url(config, claims, base_url=local_url(config), ttl_s=ttl_s)
    if as_json:
        click.echo(json.dumps({"url": url, "call_id": claims.call_id, "expires_in_s": ttl_s}))
    else:
        click.echo(url)


def _check_listening(config: Settings) -> None:
    """Raises ConfigurationError when nothing accepts connections where the server should be."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(config.host, config.host)
    try:
        socket.create_connection((host, config.port), timeout=CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise ConfigurationError(
            f"no server listens at {host}:{config.port}: run `parley serve` first"
        ) from error

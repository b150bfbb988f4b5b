"""Which providers this installation and its agents use, and how each vendor is set up, from the settings."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING, Any

from engine.config import Settings
from engine.errors import ConfigurationError
from engine.providers.registry import LOCAL, Entry, Kind, create, entry
from models import AgentConfig

if TYPE_CHECKING:
    from engine.providers.vendor import Vendor


def chain(kind: Kind, settings: Settings, agent: AgentConfig | None = None) -> tuple[str, ...]:
    """Names in order of preference: the agent's own, or the installation's.

    Raises ConfigurationError for a name that is unknown or comes twice, and for no name at all.
    """
    own: tuple[str, ...] = getattr(agent.providers, kind, ()) if agent is not None else ()
    names = own or tuple(filter(None, map(str.strip, getattr(settings, f"{kind}_provider").split(","))))
    variable = f"the agent's {kind} chain" if own else f"PARLEY_{kind.upper()}_PROVIDER"
    if not names:
        raise ConfigurationError(f"{variable} is empty: name a provider, such as {LOCAL}")
    for name in names:
        entry(kind, name)
    if len(set(names)) < len(names):
        raise ConfigurationError(f"{variable} names a provider twice: {', '.join(names)}")
    if kind == "embeddings" and len(names) > 1:
        raise ConfigurationError(
            f"{variable} takes one provider: vectors of another model cannot be compared with the index"
        )
    return names


def servable(kind: Kind, settings: Settings, agent: AgentConfig, own_keys: Container[str] = ()) -> None:
    """Raises ConfigurationError for an agent's chain that this installation cannot serve.

    `own_keys`: vendors of which the company has keys of its own.
    """
    for name in chain(kind, settings, agent):
        chosen = entry(kind, name)
        if chosen.local and LOCAL not in chain(kind, settings):
            raise ConfigurationError(f"the local {kind} provider is not deployed here")
        given = settings.provider_options.get(f"{kind}:{name}", {}).get("api_key")
        if not (chosen.local or name in own_keys or given or key(chosen, settings)):
            raise ConfigurationError(f"there is no key for {name}: set one of your own (provider-keys)")


def key(chosen: Entry, settings: Settings) -> str:
    """The vendor's key; empty where none is set."""
    secret = getattr(settings, chosen.key)
    return secret.get_secret_value() if secret is not None else ""


def vendor(kind: Kind, name: str, settings: Settings, *, own_key: str | None = None) -> Vendor:
    """A vendor's client as this installation wants it, with its key or a company's own.

    Raises ConfigurationError in one line.
    """
    options: dict[str, Any] = dict(settings.provider_options.get(f"{kind}:{name}", {}))
    if own_key is not None:
        options["api_key"] = own_key
    options.setdefault("api_key", key(entry(kind, name), settings))
    return create(kind, name, **options)


def check(settings: Settings) -> None:
    """Everything that can be known to be wrong with the chains before a call needs them.

    Creates each vendor's client once; that asks nobody. Raises ConfigurationError.
    """
    for kind in ("stt", "llm", "tts", "embeddings"):
        for name in chain(kind, settings):
            if name != LOCAL:
                vendor(kind, name, settings)
    for where in settings.provider_options:
        kind, _, name = where.partition(":")
        if entry(kind, name).local:
            raise ConfigurationError(
                f"PARLEY_PROVIDER_OPTIONS: {where} is set up in serve_config.yaml, not here"
            )


def idle_kinds(settings: Settings) -> frozenset[str]:
    """The kinds whose local deployment nobody would ask."""
    return frozenset({"stt", "llm", "tts", "turn"}) - local_kinds(settings)


def local_kinds(settings: Settings) -> frozenset[str]:
    """The kinds whose local deployment is needed."""
    kinds: tuple[Kind, ...] = ("stt", "llm", "tts")
    needed = {kind for kind in kinds if LOCAL in chain(kind, settings)}
    return frozenset(needed | ({"turn"} if settings.turn_model == LOCAL else set()))

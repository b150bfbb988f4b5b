"""Every provider by kind and name. A vendor is one module and one entry here; see docs/adding-a-provider.md.

Modules are imported when a provider is created, so that an SDK that is not used costs nothing, and one that
is not installed is missed by its own vendor alone.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import ConfigurationError

if TYPE_CHECKING:
    from engine.providers.vendor import Vendor

Kind = Literal["stt", "llm", "tts", "embeddings"]
KINDS: tuple[Kind, ...] = get_args(Kind)
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Entry:
    """`target`: `module:Class` below `engine.providers.<kind>`, or anywhere as `package.module:Class`; empty
    for the local deployment.

    `key`: the setting that holds the vendor's key, in lower case and without PARLEY_. `needs`: what its
    module imports of the `cloud` extra. `live`: speech to text that listens while the caller speaks.
    """

    kind: Kind
    name: str
    target: str = ""
    key: str = ""
    needs: str = ""
    live: bool = False

    @property
    def local(self) -> bool:
        return not self.target

    @property
    def variable(self) -> str:
        return f"PARLEY_{self.key.upper()}"

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is there."""
        try:
            return not self.needs or importlib.util.find_spec(self.needs) is not None
        except ModuleNotFoundError:  # the one that it is in
            return False


ENTRIES: tuple[Entry, ...] = (
    Entry("stt", LOCAL),
    Entry("stt", "groq", "groq:GroqStt", "groq_api_key"),
    Entry("stt", "openai", "openai:OpenAiStt", "openai_api_key"),
    Entry("stt", "deepgram", "deepgram:DeepgramStt", "deepgram_api_key", live=True),
    Entry("stt", "assemblyai", "assemblyai:AssemblyAiStt", "assemblyai_api_key", live=True),
    Entry("llm", LOCAL),
    Entry("llm", "groq", "groq:GroqLlm", "groq_api_key"),
    Entry("llm", "openai", "openai:OpenAiLlm", "openai_api_key"),
    Entry("llm", "anthropic", "anthropic:AnthropicLlm", "anthropic_api_key", "anthropic"),
    Entry("llm", "gemini", "gemini:GeminiLlm", "gemini_api_key", "google.genai"),
    Entry("tts", LOCAL),
    Entry("tts", "elevenlabs", "elevenlabs:ElevenLabsTts", "elevenlabs_api_key"),
    Entry("tts", "openai", "openai:OpenAiTts", "openai_api_key"),
    Entry("tts", "google", "google:GoogleTts", "google_api_key"),
    Entry("tts", "azure", "azure:AzureTts", "azure_speech_key"),
    Entry("embeddings", LOCAL),
    Entry("embeddings", "gemini", "gemini:GeminiEmbedder", "gemini_api_key", "google.genai"),
    Entry("embeddings", "openai", "openai:OpenAiEmbedder", "openai_api_key"),
    Entry("embeddings", "voyage", "voyage:VoyageEmbedder", "voyage_api_key"),
    Entry("embeddings", "cohere", "cohere:CohereEmbedder", "cohere_api_key", "cohere"),
)
_BY_NAME: dict[tuple[str, str], Entry] = {(entry.kind, entry.name): entry for entry in ENTRIES}


def register(added: Entry) -> None:
    """A vendor that is not Parley's own, for this process. Raises ConfigurationError for a name in use."""
    if _BY_NAME.setdefault((added.kind, added.name), added) != added:
        raise ConfigurationError(f"there is another {added.kind} provider {added.name!r}: choose a new name")


def entry(kind: str, name: str) -> Entry:
    """Raises ConfigurationError, which names what there is."""
    if kind not in KINDS:
        raise ConfigurationError(f"there is no kind {kind!r} of providers; the kinds: {', '.join(KINDS)}")
    found = _BY_NAME.get((kind, name))
    if found is None:
        names = [each.name for each in _BY_NAME.values() if each.kind == kind]
        meant = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {meant[0]}? " if meant else ""
        raise ConfigurationError(f"there is no {kind} provider {name!r}: {hint}there are {', '.join(names)}")
    return found


def create(kind: str, name: str, **options: Any) -> Vendor:
    """A vendor's client from the fields of `VendorOptions`.

    Raises ConfigurationError for an unknown name, a missing key, a missing package or a wrong option.
    """
    chosen = entry(kind, name)
    if chosen.local:
        raise ConfigurationError(f"the local {kind} provider is a deployment of serve_config.yaml")
    options["api_key"] = str(options.get("api_key") or "").strip()  # secrets from files end in a new line
    if not options["api_key"].isprintable() or not options["api_key"].isascii():
        raise ConfigurationError(f"the key of {name} has characters that no key has: see {chosen.variable}")
    if not options["api_key"]:
        raise ConfigurationError(f"{name} needs a key: set {chosen.variable}")
    # Only who asks a vendor needs its HTTP client: a call's actor has chains, and no memory to spare.
    from engine.providers.vendor import VendorOptions

    known = [field.name for field in fields(VendorOptions)]
    for option in options:
        if option not in known:
            raise ConfigurationError(
                f"{kind} providers have no option {option!r}: there are {', '.join(known)}"
            )
    return _vendor_class(chosen)(VendorOptions(**options))


def _vendor_class(chosen: Entry) -> type[Vendor]:
    if not chosen.installed:
        raise ConfigurationError(f"{chosen.name} needs {chosen.needs}: pip install 'parley[cloud]'")
    module, _, name = chosen.target.partition(":")
    path = module if "." in module else f"engine.providers.{chosen.kind}.{module}"
    vendor: type[Vendor] = getattr(importlib.import_module(path), name)
    return vendor

"""Settings: one typed object, read from the environment (prefix `PARLEY_`) and `.env`.

Everything that an operator may choose for the installation is here; what differs from agent to agent is
in `models.AgentConfig`, and GPU fractions, replicas and batch sizes are in `serve_config.yaml`.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from engine.errors import ConfigurationError

MIN_SECRET_CHARS = 32
_PREFIX = "PARLEY_"
_URL = re.compile(r"https?://[^\s/]+")
_OTHERS = frozenset({"PARLEY_NUM_CPUS", "PARLEY_API_URL", "PARLEY_API_KEY"})
"""Read elsewhere: before there are settings, or by a client of the API, which may run on another machine."""
_MONGODB = re.compile(r"mongodb(\+srv)?://.")


def _default_models_dir() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "parley" / "models"


class Settings(BaseSettings):
    """The installation's settings; see `.env.example` for a word on each."""

    model_config = SettingsConfigDict(env_prefix="PARLEY_", env_file=".env", extra="ignore")

    environment: Literal["development", "production"] = "development"
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    public_url: str | None = Field(default=None, description="https URL at which carriers reach this server")
    trusted_proxies: tuple[str, ...] = Field(default=(), description="addresses whose X-Forwarded-* count")
    secret: SecretStr | None = Field(default=None, description="signs media tokens; 32 characters or more")
    media_token_ttl_s: float = Field(default=60.0, gt=0)

    data_dir: Path = Path("var")
    models_dir: Path = Field(default_factory=_default_models_dir)
    mongodb_url: SecretStr | None = Field(default=None, description="mongodb:// or mongodb+srv://")
    mongodb_database: str = Field(default="parley", pattern=r"^[A-Za-z0-9_-]{1,38}$")
    qdrant_url: str | None = None
    qdrant_api_key: SecretStr | None = None

    llm_base_url: str | None = Field(default=None, description="an OpenAI-compatible server, such as vLLM")
    llm_model: str | None = None
    llm_api_key: SecretStr | None = None

    stt_provider: str = Field(default="local", description="who transcribes; several with commas, in order")
    llm_provider: str = "local"
    tts_provider: str = "local"
    embeddings_provider: str = Field(default="local", description="one: other vectors are another index")
    turn_model: Literal["local", "none"] = "local"
    provider_options: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description='per "kind:name": model, voice, base_url, extra, ...'
    )
    groq_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = None
    deepgram_api_key: SecretStr | None = None
    assemblyai_api_key: SecretStr | None = None
    anthropic_api_key: SecretStr | None = None
    gemini_api_key: SecretStr | None = None
    elevenlabs_api_key: SecretStr | None = None
    google_api_key: SecretStr | None = None
    azure_speech_key: SecretStr | None = None
    voyage_api_key: SecretStr | None = None
    cohere_api_key: SecretStr | None = None

    key_encryption_keys: SecretStr | None = Field(
        default=None, description="seals companies' own provider keys; several with commas, the first seals"
    )

    registration: Literal["open", "closed"] | None = Field(
        default=None, description="whether strangers may register a company; open in development only"
    )

    twilio_auth_token: SecretStr | None = None

    max_calls: int = Field(default=16, ge=1, description="calls at once on the whole cluster")
    warm_calls: int = Field(default=2, ge=1, description="call actors kept, at least two of them spare")
    max_call_s: float = Field(default=1800.0, gt=0)
    reconnect_grace_s: float = Field(default=4.0, ge=0, description="how long a call outlives its socket")
    metrics_token: SecretStr | None = Field(
        default=None, description="lets a Prometheus on another machine read /metrics"
    )
    log_format: Literal["json", "text"] | None = Field(
        default=None, description="text in development, JSON in production"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="after")
    def _refuse_unsafe(self) -> Self:
        self.data_dir = self.data_dir.expanduser().resolve()
        self.models_dir = self.models_dir.expanduser().resolve()
        if self.secret is not None and len(self.secret.get_secret_value()) < MIN_SECRET_CHARS:
            raise ValueError(f"PARLEY_SECRET needs {MIN_SECRET_CHARS} characters or more")
        if self.environment == "production" and self.secret is None:
            raise ValueError("PARLEY_SECRET must be set in production (try: openssl rand -hex 32)")
        for name in ("public_url", "llm_base_url", "qdrant_url"):
            url = getattr(self, name)
            if url is not None and not _URL.match(url):
                raise ValueError(f"PARLEY_{name.upper()} must begin with https:// or http://")
        if self.mongodb_url is not None and not _MONGODB.match(self.mongodb_url.get_secret_value()):
            raise ValueError("PARLEY_MONGODB_URL must begin with mongodb:// or mongodb+srv://")
        if (self.llm_base_url is None) != (self.llm_model is None):
            raise ValueError("PARLEY_LLM_BASE_URL and PARLEY_LLM_MODEL go together: set both or neither")
        return self

    @property
    def logs_json(self) -> bool:
        return (self.log_format or {"development": "text"}.get(self.environment, "json")) == "json"

    @property
    def registration_open(self) -> bool:
        return (self.registration or {"development": "open"}.get(self.environment)) == "open"

    def signing_secret(self) -> str:
        """The secret that signs media tokens; in development one is made once and kept in `data_dir`."""
        if self.secret is not None:
            return self.secret.get_secret_value()
        path = self.data_dir / "secret"
        self.data_dir.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return path.read_text().strip()
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        return path.read_text().strip()


def refuse_misspelt(environ: Iterable[str]) -> None:
    """Raises ConfigurationError for a name that is nearly a setting's, and would do nothing.

    Other names that begin with PARLEY_ are none of ours: Kubernetes gives every pod some for a service
    of that name.
    """
    known = {_PREFIX + name.upper() for name in Settings.model_fields} | _OTHERS
    for name in environ:
        if not name.startswith(_PREFIX) or name in known:
            continue
        meant = difflib.get_close_matches(name, known, n=1, cutoff=0.88)
        if meant:
            raise ConfigurationError(f"{name} is no setting: did you mean {meant[0]}?")


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once.

    Raises ConfigurationError with one line that names the variable.
    """
    refuse_misspelt(os.environ)
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"PARLEY_{str(part).upper()}: " for part in first["loc"][:1])
        raise ConfigurationError(f"{where}{first['msg'].removeprefix('Value error, ')}") from error

"""The `llm` Serve application: the language model. `serve_config.yaml` names `deployments.llm:build`.

Callers ask its deployment by handle, `generate.options(stream=True)`. A replica owns an OpenAI-compatible
server as a child on loopback (llama.cpp on a CPU, `vllm serve` on its GPU) and speaks to it with the openai
client; with PARLEY_LLM_BASE_URL it owns nothing and speaks to the server at that address. Replicas, GPU
share and autoscaling are said in the `deployments:` section of the Serve config.
"""

# No `from __future__ import annotations`: Serve needs the class itself in `build`'s annotation.

import asyncio
import contextlib
import logging
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve import Application

from actors.node import prepare_replica
from engine.config import settings
from engine.errors import ConfigurationError, ProviderError, ProviderUnavailable, WeightsError
from engine.providers.base import ChatDelta, ChatRequest
from engine.weights import folder

if TYPE_CHECKING:
    from engine.providers.llm.openai_compatible import Endpoint, OpenAICompatible
    from engine.providers.llm.openings import Folder
    from engine.providers.llm.server_process import Address, Launch, ServerProcess

log = logging.getLogger("parley.llm")

HERE = Path(__file__).parent
MOST_SLOTS = 16
"""By default. Each takes 47 MB with the starter model, whether a call uses it or not, and six times as much
with one of 4 billion parameters."""
RESTARTS = 3
RESTARTS_WITHIN_S = 60.0


class LlmArgs(BaseModel):
    """Arguments of the `llm` application. The defaults are the starter model on one CPU machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    engine: Literal["llama.cpp", "vllm", "remote"] = Field(
        default="llama.cpp", description="`remote` whenever PARLEY_LLM_BASE_URL is set"
    )
    weights: str = Field(default="smollm2-135m", description="llama.cpp: a folder with one GGUF file")
    model: str = Field(default="", description="vllm: a model's name or path; by default `weights`")
    chat_template: str = Field(
        default="starter_llm.jinja",
        description="llama.cpp: a file here or a path; empty for the model's own",
    )
    reply_lead: str = Field(
        default=" ", description="what stands before a reply's first word in the template"
    )
    threads: int = Field(default=1, ge=1, description="llama.cpp: more only on cores that nothing else needs")
    batch_threads: int = Field(
        default=1,
        ge=1,
        description="llama.cpp: threads that read the prompt; two wait for each other under load",
    )
    slots: int | None = Field(
        default=None,
        ge=1,
        le=256,
        description="llama.cpp: a call keeps its history in one; with fewer it is read again in each "
        "turn. Each takes memory for n_ctx tokens. By default PARLEY_MAX_CALLS, 16 at most",
    )
    n_ctx: int = Field(default=2048, ge=256, description="llama.cpp: tokens in each slot")
    draft: int = Field(
        default=8, ge=0, le=64, description="llama.cpp: tokens guessed from the prompt at a time; 0: none"
    )
    nice: int = Field(
        default=0,
        ge=0,
        le=19,
        description="llama.cpp: lower priority by so much; callers wait for it as for the voice",
    )
    vllm_args: tuple[str, ...] = Field(default=(), description="further arguments of `vllm serve`")
    dialect: Literal["llama.cpp", "vllm", "openai"] = Field(
        default="openai", description="remote: how the server is made to go on with a reply"
    )
    start_timeout_s: float = Field(default=120.0, gt=0)


class LanguageModelReplica:
    """One language model for many calls. Light to import: client and server come with the replica alone."""

    _running = False

    async def __init__(self, args: LlmArgs) -> None:  # type: ignore[misc]  # Serve awaits it
        """Starts the server and waits for it. Raises WeightsError, ConfigurationError or ProviderErrors."""
        prepare_replica()
        self._args = args
        self._engine: str = "remote" if settings().llm_base_url is not None else args.engine
        self._model: OpenAICompatible | None = None
        self._server: ServerProcess | None = None
        self._openings: Folder | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._failure = ""
        self._starts: deque[float] = deque(maxlen=RESTARTS)
        self._replies = 0
        if self._engine == "remote":
            self._connect(_remote_endpoint(args))
        else:
            await self._start_server()
            self._watcher = asyncio.create_task(self._keep_server())
            self._watcher.add_done_callback(self._note_end)
        self._running = True

    async def generate(self, request: ChatRequest) -> AsyncIterator[ChatDelta]:
        """Stream a reply, as `LanguageModel.generate`. Cancelling it stops the server's work on it."""
        if self._model is None:
            raise ProviderUnavailable("the language model is being started again", provider="llm")
        self._replies += 1
        async with contextlib.aclosing(self._model.generate(request)) as deltas:
            async for delta in deltas:
                yield delta

    async def info(self) -> dict[str, Any]:
        """What runs here and what it has done: plain values, fit for JSON."""
        return {
            "engine": self._engine,
            "model": _model_name(self._args, self._engine),
            "server_pid": self._server.pid if self._server is not None else None,
            "starts": len(self._starts),
            "replies": self._replies,
        }

    async def check_health(self) -> None:
        """Called by Serve; raises when the server died and could not be brought back."""
        if self._failure:
            raise ProviderUnavailable(self._failure, provider="llm")

    def __del__(self) -> Coroutine[Any, Any, None] | None:
        """Called by Serve, which awaits the result, when the replica ends: nothing of it stays behind."""
        if not self._running:
            return None
        self._running = False
        return self._stop()

    async def _stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._server is not None:
            await self._server.stop()
        if self._model is not None:
            await self._model.close()
        self._forget_openings()

    def _note_end(self, watcher: asyncio.Task[None]) -> None:
        """Nobody keeps the server any more: where that is a defect of ours, the replica is to be replaced."""
        if not watcher.cancelled() and (error := watcher.exception()) is not None:
            self._failure = f"the language model's server is not watched any more: {error!r}"

    def _forget_openings(self) -> None:
        if self._openings is not None:
            self._openings.remove()
            self._openings = None

    async def _start_server(self) -> None:
        from engine.providers.llm.server_process import ServerProcess

        self._starts.append(time.monotonic())
        self._forget_openings()
        self._openings = _folder() if self._engine == "llama.cpp" else None
        openings = self._openings.path if self._openings is not None else None
        launch = _launch(self._args, self._engine, openings)
        self._server = await ServerProcess.start(launch, deadline_s=self._args.start_timeout_s)
        self._connect(_local_endpoint(self._args, self._engine, self._server.address, openings))

    async def _keep_server(self) -> None:
        """Start the server again when it dies, but not for ever: then the replica is unhealthy."""
        while self._server is not None:
            status = await self._server.ended()
            model, self._model = self._model, None
            if model is not None:
                await model.close()
            often = len(self._starts) == RESTARTS and time.monotonic() - self._starts[0] < RESTARTS_WITHIN_S
            if often:
                self._failure = f"the language model's server ends again and again (status {status})"
                return
            try:
                await self._start_server()
            except (ProviderError, ConfigurationError, WeightsError) as error:
                self._failure = f"the language model's server died and did not start again: {error}"
                return

    def _connect(self, endpoint: "Endpoint") -> None:
        from engine.providers.llm.openai_compatible import OpenAICompatible

        self._model = OpenAICompatible(endpoint)


def _model_name(args: LlmArgs, engine: str) -> str:
    """The name by which requests ask the server for the model."""
    if engine == "remote":
        return settings().llm_model or args.model
    return args.model or args.weights


def _folder() -> "Folder | None":
    """Where agents' openings are kept; None where no folder can be made, and each call has its own read."""
    from engine.providers.llm.openings import Folder

    try:
        return Folder(settings().data_dir / "openings")
    except OSError as error:
        log.warning("agents' openings are not kept, each call's is read: %s", error)
        return None


def _slots(args: LlmArgs) -> int:
    return args.slots or min(MOST_SLOTS, settings().max_calls)


def _launch(args: LlmArgs, engine: str, openings: Path | None) -> "Launch":
    from engine.providers.llm.server_process import AnswersHealth, PrintsItsAddress

    if engine == "llama.cpp":
        return PrintsItsAddress("llama.cpp", _llama_command(args, openings))
    model = args.model or str(folder(args.weights))
    name = _model_name(args, engine)

    def vllm(port: int) -> Sequence[str]:
        options = ("--host", "127.0.0.1", "--port", str(port), "--served-model-name", name)
        return ("vllm", "serve", model, *options, *args.vllm_args)

    return AnswersHealth("vllm", vllm)


def _llama_command(args: LlmArgs, openings: Path | None) -> Sequence[str]:
    place = folder(args.weights)
    files = sorted(place.glob("*.gguf"))
    if len(files) != 1:
        raise WeightsError(f"{place} should hold one .gguf file, it has {len(files)}: choose other `weights`")
    command = [sys.executable, "-m", "deployments.llama_server", "--model", str(files[0])]
    command += ["--slots", str(_slots(args)), "--n-ctx", str(args.n_ctx), "--threads", str(args.threads)]
    command += ["--batch-threads", str(args.batch_threads), "--draft", str(args.draft)]
    command += ["--nice", str(args.nice)]
    if openings is not None:
        command += ["--openings", str(openings)]
    if args.chat_template:
        # A bare name is one of ours; joining leaves an absolute path as it is.
        template = HERE / args.chat_template
        if not template.is_file():
            raise ConfigurationError(f"llm: chat_template {template} does not exist: give a file's full path")
        command += ["--chat-template-file", str(template)]
    return command


def _local_endpoint(args: LlmArgs, engine: str, address: "Address", openings: Path | None) -> "Endpoint":
    from engine.providers.llm.openai_compatible import Endpoint

    name = _model_name(args, engine)
    if engine == "vllm":
        return Endpoint(address.base_url, name, address.api_key, dialect="vllm")
    return Endpoint(
        address.base_url,
        name,
        address.api_key,
        dialect="llama.cpp",
        slots=_slots(args),
        openings=openings,
        reply_lead=args.reply_lead if args.chat_template else "",
    )


def _remote_endpoint(args: LlmArgs) -> "Endpoint":
    from engine.providers.llm.openai_compatible import Endpoint

    chosen = settings()
    if chosen.llm_base_url is None or chosen.llm_model is None:
        raise ConfigurationError("llm: engine `remote` needs PARLEY_LLM_BASE_URL and PARLEY_LLM_MODEL")
    key = chosen.llm_api_key.get_secret_value() if chosen.llm_api_key is not None else ""
    return Endpoint(chosen.llm_base_url, chosen.llm_model, key, dialect=args.dialect)


deployment = serve.deployment(
    name="LanguageModel",
    max_ongoing_requests=32,
    ray_actor_options={"num_cpus": 0},
    health_check_period_s=2,
    health_check_timeout_s=10,
    graceful_shutdown_timeout_s=20,
)(LanguageModelReplica)


def build(args: LlmArgs) -> Application:
    """The application, as `serve_config.yaml` asks for it."""
    return deployment.bind(args)

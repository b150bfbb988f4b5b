"""The processes that a peer needs, as children: their logs in files, gone when they are stopped or we are."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import ConfigurationError
from engine.providers.llm.server_process import Address, PrintsItsAddress, ServerProcess
from engine.weights import folder

ROOT = Path(__file__).parents[2]
START_S = 120.0
SLOTS = 8
LLM = "smollm2-135m"

# A Ctrl-C at the terminal goes to every process there, but these are stopped by whoever started them.
_SHELL = 'trap "" INT; exec "$@" 2>>"$0"'


@dataclass(frozen=True, slots=True)
class Child:
    """A program that prints where it serves as a line of JSON. `environ` is added to the environment."""

    name: str
    argv: Sequence[str]
    log: Path
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    def command(self) -> Sequence[str]:
        return ("sh", "-c", _SHELL, str(self.log), *self.argv)

    def environment(self) -> Mapping[str, str]:
        quiet = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
        return quiet | {"PYTHONPATH": str(ROOT), "ORT_DISABLE_TELEMETRY": "1"} | dict(self.environ)

    async def ready(self, stdout: asyncio.StreamReader) -> Address:
        return await PrintsItsAddress(self.name, self.argv).ready(stdout)


@asynccontextmanager
async def running(child: Child) -> AsyncIterator[ServerProcess]:
    """Start a child and wait until it serves; stop it at the end, whatever happens.

    Raises ProviderUnavailable or ProviderTimeout when it does not start.
    """
    server = await ServerProcess.start(child, deadline_s=START_S)
    try:
        yield server
    finally:
        await asyncio.shield(server.stop())


def llama_server(logs: Path) -> Child:
    """The language model's server as Parley's `llm` application starts it, without openings kept."""
    [gguf] = folder(LLM).glob("*.gguf")
    template = ROOT / "deployments" / "starter_llm.jinja"
    argv = [sys.executable, "-m", "deployments.llama_server", "--model", str(gguf), "--alias", LLM]
    argv += ["--slots", str(SLOTS), "--chat-template-file", str(template)]
    return Child("llama.cpp", argv, logs / "llama.log")


def facts_service(logs: Path) -> Child:
    return Child("the facts service", (sys.executable, "-m", "bench.peers.facts"), logs / "facts.log")


def bot(logs: Path, python: Path, llm: Address, facts: Address) -> Child:
    """The peer's server, run by its own Python. Raises ConfigurationError when that is not installed."""
    if not os.access(python, os.X_OK):
        raise ConfigurationError(f"the peer is not installed at {python}: run bench/peers/set_up.sh")
    argv = [str(python), "-m", "bench.peers.bot", "--models", str(folder(LLM).parent)]
    argv += ["--llm-url", llm.base_url, "--llm-model", LLM, "--facts-url", facts.base_url]
    argv += ["--slots", str(SLOTS)]
    return Child("the peer", argv, logs / "bot.log", {"PEER_LLM_KEY": llm.api_key})

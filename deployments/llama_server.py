"""llama.cpp's OpenAI-compatible server as a child process, on loopback only.

    python -m deployments.llama_server --model FILE [--port 0] [--slots 8] [--n-ctx 2048] [--threads 2]
                                       [--chat-template-file FILE] [--cache-mib 0] [--alias NAME] [--draft 8]
                                       [--openings FOLDER]

Prints one JSON line on stdout once it serves: `{"base_url": ".../v1", "api_key": ..., "pid": ...}`, or
`{"error": ...}` and exits with 1. The key is made anew at each start and known only to who reads that
pipe, so that another user of the machine cannot spend the model. Logs go to stderr.

It lives no longer than its parent: it ends when its stdin closes, and on Linux the kernel kills it when
the thread that started it dies.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from engine.providers.llm.guard import die_with_parent

LOOPBACK = "127.0.0.1"


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m deployments.llama_server")
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--slots", type=int, default=8, help="generations at once; one a call keeps its prefix"
    )
    parser.add_argument("--n-ctx", type=int, default=2048, help="tokens of context in each slot")
    parser.add_argument("--threads", type=int, default=1, help="threads that generate")
    parser.add_argument("--batch-threads", type=int, default=2, help="threads that read the prompt")
    parser.add_argument("--chat-template-file", type=Path, help="Jinja; default: the model's own")
    parser.add_argument("--cache-mib", type=int, default=0, help="RAM for prompts that lost their slot")
    parser.add_argument(
        "--draft", type=int, default=8, help="tokens guessed from the prompt at a time; 0: none"
    )
    parser.add_argument("--openings", type=Path, help="where a slot's keys and values may be kept")
    parser.add_argument("--nice", type=int, default=0, help="lower priority by so much")
    parser.add_argument("--alias", default="", help="the model's name in the API")
    parser.add_argument("--verbosity", type=int, default=1, help="llama.cpp's: 1 errors, 2 warnings, 3 info")
    return parser.parse_args(argv)


def private_stdout() -> int:
    """A descriptor for the ready line; everything that C++ prints to stdout goes to stderr from here on."""
    descriptor = os.dup(1)
    os.dup2(2, 1)
    return descriptor


def server_params(arguments: argparse.Namespace, api_key: str) -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(arguments.model)
    params.model_alias = {arguments.alias} if arguments.alias else set()
    params.hostnames = [LOOPBACK]
    params.port = arguments.port
    params.api_keys = [api_key]
    params.ui = False
    params.verbosity = arguments.verbosity
    params.n_parallel = arguments.slots
    params.n_ctx = arguments.n_ctx * arguments.slots
    # The context is what the operator asked for: llama.cpp must not shrink it to what it thinks will fit.
    params.fit_params = False
    params.cpuparams.n_threads = arguments.threads
    params.cpuparams_batch.n_threads = max(arguments.batch_threads, arguments.threads)
    # Its default, 8 GiB of RAM for evicted prompts, would look like a leak on a small machine.
    params.cache_ram_mib = arguments.cache_mib
    params.cache_idle_slots = arguments.cache_mib > 0
    params.use_jinja = True
    # On a CPU llama.cpp's flash attention takes twice as long for a long prompt as the plain one.
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    if arguments.openings is not None:
        params.slot_save_path = f"{arguments.openings}{os.sep}"  # it is put before a name as it is
    if arguments.draft > 0:
        draft_from_prompt(params, arguments.draft)
    if arguments.chat_template_file is not None:
        params.chat_template = arguments.chat_template_file.read_text()
    return params


def draft_from_prompt(params: Any, tokens: int) -> None:
    """An answer repeats its facts: what followed the last two tokens before is guessed to follow again.

    The model checks all of a guess in one pass and keeps what it would have said itself.
    """
    import xllamacpp

    params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
    params.speculative.ngram_simple.size_n = 2
    params.speculative.ngram_simple.size_m = tokens


def wait_for_stdin_to_close() -> None:
    while os.read(0, 4096):
        pass


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    die_with_parent()
    os.nice(arguments.nice)
    # Threads that wait spin for a moment, then sleep. On two quiet cores two threads make 109 tokens/s so,
    # 33 when they sleep at once and 157 when they spin long; beside a busy process 33, 33 and 9. One thread
    # alone makes 57 in both cases, and is the default.
    # Read when llama.cpp's OpenMP is loaded, which is below.
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    ready = private_stdout()
    api_key = secrets.token_hex(16)
    try:
        import xllamacpp

        if not arguments.model.is_file():
            raise FileNotFoundError(f"no model file at {arguments.model}")
        server = xllamacpp.Server(server_params(arguments, api_key))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        os.write(ready, json.dumps({"error": f"llama.cpp did not start: {error}"}).encode() + b"\n")
        return 1
    line = {"base_url": f"{server.listening_address}/v1", "api_key": api_key, "pid": os.getpid()}
    os.write(ready, json.dumps(line).encode() + b"\n")
    os.close(ready)
    wait_for_stdin_to_close()
    del server
    return 0


if __name__ == "__main__":
    sys.exit(main())

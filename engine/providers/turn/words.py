"""Are these words all? A small language model as a witness of the end of a turn.

It is asked how likely a sentence mark is to come next after the words so far. "What time do you open on" goes
on, "What time do you open on Saturday" may well be all: what smart-turn, which hears intonation, cannot know.
A recogniser puts a question mark after either, so its marks are taken off first.

The model is any GGUF file of a few hundred megabytes at most (SmolLM2-135M: 25 ms on one thread, 10 when
only a word or two are new), run by llama.cpp in this process.
"""

from __future__ import annotations

import math
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from engine.errors import ConfigurationError, ProviderUnavailable, WeightsError
from engine.priority import lower_priority

PROVIDER = "words"
LANGUAGES = ("en",)
UNKNOWN = 0.5
"""No evidence either way."""
MAX_CHARS = 600
"""Of a long utterance its end decides."""

_MARKS = ".?!"
_ENDS = (*_MARKS, "\n")
_TOP = 40
NICE = 8
"""Priority of both witnesses of the end of a turn: their verdict is due later than what runs beside it."""
_OPENING = """\
These are questions that people ask on the telephone, one on each line, with the right punctuation at the end.

When can I come by for a haircut?
I would like to know what you charge for a new tyre.
Do you rent out bikes, and for how long?
My order number is 4 5 1 7 2.
Is it possible to change the date of my booking to the day after?
Can you tell me what time the shop closes on weekdays?
I have a question about the invoice that you sent me last week.
"""


class WordsModel:
    """A loaded model. `finished` blocks and releases the GIL; one caller at a time is served.

    `slots`: utterances whose beginning is remembered, so that only new words are read.
    Raises WeightsError when the folder holds no model, ConfigurationError when llama.cpp cannot run it.
    """

    def __init__(self, folder: Path, *, threads: int = 1, slots: int = 4) -> None:
        files = sorted(folder.glob("*.gguf"))
        if len(files) != 1:
            raise WeightsError(
                f"{folder} holds {len(files)} .gguf files, not one: run `parley models pull {folder.name}`"
            )
        try:
            import xllamacpp

            params = _params(xllamacpp, files[0], threads, slots)
            with ThreadPoolExecutor(1, initializer=lower_priority, initargs=(NICE,)) as maker:
                self._server: Any = maker.submit(xllamacpp.Server, params).result()
        except (ImportError, RuntimeError, ValueError) as error:
            raise ConfigurationError(f"llama.cpp cannot run {files[0].name}: {error}") from error
        self.name = folder.name

    def finished(self, text: str) -> float:
        """Probability (0 to 1) that nothing needs to follow. Raises ProviderUnavailable."""
        words = text[-MAX_CHARS:].strip().rstrip(_MARKS + ",… ")
        if not words:
            return UNKNOWN
        answer = self._server.handle_completions(
            {
                "prompt": _OPENING + words,
                "max_tokens": 1,
                "temperature": 0,
                "logprobs": _TOP,
                "cache_prompt": True,
            }
        )
        return _ending(answer)


def _ending(answer: Any) -> float:
    """The share of what may come next that ends a sentence."""
    try:
        ranking = answer["choices"][0]["logprobs"]["content"][0]["top_logprobs"]
    except (KeyError, IndexError, TypeError) as error:
        # Not what it gave instead: that goes on with what the caller said.
        raise ProviderUnavailable("the model gave no probabilities", provider=PROVIDER) from error
    total = sum(math.exp(each["logprob"]) for each in ranking if each["token"].strip(" ").startswith(_ENDS))
    return min(total, 1.0)


def _params(xllamacpp: Any, model: Path, threads: int, slots: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_parallel = slots
    params.n_ctx = 512 * slots
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.fit_params = False
    params.cache_ram_mib = 0
    params.ui = False
    params.verbosity = 1
    # llama.cpp's server listens too, although nobody speaks to it there: on loopback, behind a key.
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [secrets.token_hex(16)]
    return params

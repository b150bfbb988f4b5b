"""The process that reads one upload: `python -m engine.knowledge.parse FILE NAME LIMITS`.

Whatever the file does to its parser happens here, within limits that the kernel keeps. One JSON object on
stdout: the pages, or an error for the person who uploaded it.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.knowledge.parse.limits import Limits
from engine.knowledge.parse.reading import read

NICENESS = 10
"""Calls go before uploads."""


def confine(limits: Limits) -> None:
    """From now on this process can neither write files nor take more memory and time than it may."""
    os.nice(NICENESS)
    seconds = int(limits.seconds) + 1
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(what)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(what, (most, most))


def answer(path: Path, name: str, limits: Limits) -> dict[str, Any]:
    try:
        return asdict(read(path, name, limits))
    except DocumentError as error:
        return {"error": str(error)}
    except (MemoryError, RecursionError):
        return {"error": f"'{name}' needs too much memory to be read: split it into several documents"}


def main() -> None:
    path, name, limits = sys.argv[1:4]
    # What parsers say about odd files is for nobody.
    logging.disable(logging.CRITICAL)
    chosen = Limits(**json.loads(limits))
    confine(chosen)
    json.dump(answer(Path(path), name, chosen), sys.stdout)


main()

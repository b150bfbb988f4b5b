"""The process that reads one file: `python -m engine.knowledge.parse PATH NAME LIMITS`.

It bounds itself before it imports a parser, writes one JSON object on stdout and ends:
{"media_type", "pages"} or {"error"}, both with status 0, or OUT_OF_MEMORY as its status.
"""

from __future__ import annotations

import json
import logging
import os
import resource
import sys
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.knowledge.parse.limits import OUT_OF_MEMORY, Limits

NICENESS = 10
OPEN_FILES = 64


def main(path: str, name: str, limits: Limits) -> int:
    confine(limits)
    # pypdf tells at length what is odd about a file.
    logging.disable(logging.CRITICAL)
    try:
        answer = json.dumps(_answer(Path(path), name, limits), ensure_ascii=False).encode()
    except MemoryError:
        return OUT_OF_MEMORY
    sys.stdout.buffer.write(answer)
    sys.stdout.buffer.flush()
    return 0


def confine(limits: Limits) -> None:
    """Bounds this process for good: it can use no more, write no file and start no process."""
    os.nice(NICENESS)
    seconds = max(1, round(limits.seconds))
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, OPEN_FILES),
        (resource.RLIMIT_NPROC, 0),
    ):
        resource.setrlimit(what, (most, most))


def _answer(path: Path, name: str, limits: Limits) -> dict[str, Any]:
    from engine.knowledge.parse.reading import read

    try:
        document = read(path, name, limits)
    except DocumentError as error:
        return {"error": str(error)}
    return {"media_type": document.media_type, "pages": document.pages}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Limits(**json.loads(sys.argv[3]))))

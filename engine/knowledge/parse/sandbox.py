"""Read an upload in a process of its own, which ends when it takes too long or too much, or nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from engine.errors import DocumentError
from engine.knowledge.parse.limits import Limits, Pages, ParsedDocument
from engine.knowledge.parse.reading import check_file

ROOT = Path(__file__).parents[3]
_BLOCK = 1 << 16
_SHELL = 64 * 1024
"""What JSON may add around the text beside its escapes."""


async def read_document(path: Path, name: str, limits: Limits | None = None) -> ParsedDocument:
    """The text of an upload. Raises DocumentError with what to do about it; cancelling ends the process."""
    limits = limits or Limits()
    await asyncio.to_thread(check_file, path, name, limits)
    arguments = ["-m", "engine.knowledge.parse", str(path), name, json.dumps(asdict(limits))]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limits.seconds):
            said = await _all_of(process, 6 * limits.text_bytes + _SHELL)
            await process.wait()
    except TimeoutError:
        raise DocumentError(
            f"'{name}' takes longer than {limits.seconds:g} s to read: split it into several documents"
        ) from None
    finally:
        await _end(process)
    return _parsed(said, name)


async def read_pages(path: Path, name: str) -> Pages:
    """The pages of an upload, within the usual limits. Raises DocumentError."""
    return (await read_document(path, name)).pages


async def _all_of(process: asyncio.subprocess.Process, most: int) -> bytes:
    """What the process says; b"" when it says more than it may."""
    assert process.stdout is not None
    said = bytearray()
    while block := await process.stdout.read(_BLOCK):
        said += block
        if len(said) > most:
            return b""
    return bytes(said)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _parsed(said: bytes, name: str) -> ParsedDocument:
    try:
        answer = json.loads(said)
    except ValueError:
        # Killed by a limit of the kernel's, or crashed inside a library.
        raise DocumentError(
            f"'{name}' cannot be read within the limits: print it to a new PDF, or split it into several"
        ) from None
    if "error" in answer:
        raise DocumentError(answer["error"])
    pages = tuple((number, text) for number, text in answer["pages"])
    return ParsedDocument(pages, answer["media_type"])

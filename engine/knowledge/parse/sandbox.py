"""Reads an upload in a process of its own, which may hang, crash or use up its memory without harm.

The process gets no secret: its environment is empty, and it is confined before it sees the file.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

from engine.errors import DocumentError
from engine.knowledge.parse.limits import OUT_OF_MEMORY, Limits, Pages, ParsedDocument

ROOT = Path(__file__).resolve().parents[3]
"""Where the package `engine` lies."""
_BLOCK = 1 << 16
_ENVELOPE = 1 << 20
_log = logging.getLogger(__name__)


async def read_document(path: Path, name: str, limits: Limits = Limits()) -> ParsedDocument:  # noqa: B008
    """The text of the file at `path`, which was uploaded as `name`.

    Raises DocumentError, in one line for the one who uploaded it. When this returns, raises or is cancelled,
    the process that read the file is gone.
    """
    name = _shown(name)
    process = await _start(path, name, limits)
    try:
        async with asyncio.timeout(limits.seconds):
            answer = await _output(process, name, limits)
            status = await process.wait()
    except TimeoutError as error:
        raise _too_slow(name, limits) from error
    finally:
        await _end(process)
    if status:
        raise _ended(name, status, limits)
    # Megabytes of JSON would hold up the calls of this loop.
    return await asyncio.to_thread(_document, answer, name)


async def _start(path: Path, name: str, limits: Limits) -> asyncio.subprocess.Process:
    arguments = (_absolute(path), name, json.dumps(asdict(limits)))
    try:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "engine.knowledge.parse", *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
            env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"},
            start_new_session=True,
        )
    except OSError as error:
        raise DocumentError(f"'{name}' cannot be read now, no process can be started: try again") from error


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _shown(name: str) -> str:
    # An argument cannot hold a NUL or half a character, and a message is one line.
    return "".join(c if c.isprintable() else "?" for c in name)[-255:]


async def _output(process: asyncio.subprocess.Process, name: str, limits: Limits) -> bytes:
    """All that it writes, up to what text within the limits can need."""
    assert process.stdout is not None
    # JSON writes a line end or a quotation mark in two bytes.
    most = 2 * limits.text_bytes + _ENVELOPE
    output = bytearray()
    while block := await process.stdout.read(_BLOCK):
        output += block
        if len(output) > most:
            raise _crashed(name)
    return bytes(output)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _ended(name: str, status: int, limits: Limits) -> DocumentError:
    # The limit on CPU time is a hard one: the kernel says so with either signal.
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return _too_slow(name, limits)
    if status == OUT_OF_MEMORY:
        return DocumentError(f"'{name}' needs too much memory to be read: split it into several documents")
    _log.warning("the process that read an upload ended with status %d", status)
    return _crashed(name)


def _document(answer: bytes, name: str) -> ParsedDocument:
    """Takes nothing on trust: a file may have taken over the process that wrote this."""
    try:
        content = json.loads(answer)
        if "error" in content:
            raise DocumentError(" ".join(str(content["error"]).split()))
        pages: Pages = tuple((_number(number), _text(text)) for number, text in content["pages"])
        return ParsedDocument(pages, _text(content["media_type"]))
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _crashed(name) from error


def _number(value: object) -> int | None:
    if value is None or isinstance(value, int):
        return value
    raise TypeError("a page number is a number")


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("a text is a string")


def _too_slow(name: str, limits: Limits) -> DocumentError:
    return DocumentError(
        f"'{name}' takes longer than {limits.seconds:g} s to read: split it into several documents"
    )


def _crashed(name: str) -> DocumentError:
    return DocumentError(
        f"'{name}' makes its reader fail: save it anew, or as a plain text file, and upload that"
    )

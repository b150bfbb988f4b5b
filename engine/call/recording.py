"""How a call's recording leaves the edge: block by block, behind the call's back.

Nothing in here makes the call wait or fail. What a recorder does not take in time is lost: it is logged once,
at the end, and silence stands in its place in the file.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from engine.call.tape import Block, Tape
from engine.errors import ParleyError
from engine.telephony.events import CarrierCommand, SendClear, SendMedia

log = logging.getLogger("parley.recording")

WRITE_S = 2.0
FINISH_S = 5.0
MAX_WAITING = 8
"""Blocks that wait for a slow recorder: 128 kB."""
SPARE_S = 60
_NO_ANSWER = "the recorder does not answer"


class NotRecorded(ParleyError):
    """The recorder did not take it; the message says why."""


class Recording(Protocol):
    """Where the blocks of one call go. Both methods raise NotRecorded."""

    async def begin(self) -> int:
        """The number of the first block that was not written: above 0 where an edge before this one wrote."""
        ...

    async def write(self, block: Block) -> None:
        """Keep a block. Numbers that are left out are silence; one that was written stays as it is."""
        ...


class RecordingWriter:
    """Records one carrier's stream. Create it in a running loop; `finish` it whatever happens.

    `longest_s`: positions come from the carrier, so none beyond the longest call and a minute is believed.
    """

    def __init__(self, call_id: str, recording: Recording, longest_s: float) -> None:
        self._call_id = call_id
        self._recording = recording
        self._limit = int(longest_s) + SPARE_S
        self._tape = Tape()
        self._first: int | None = None
        self._waiting: deque[Block] = deque()
        self._wake = asyncio.Event()
        self._over = False
        self._lost: list[int] = []
        self._cause = ""
        self._task = asyncio.create_task(self._write(), name=f"record {call_id}")

    def caller(self, position: int, ulaw: bytes) -> None:
        """The carrier sent this."""
        self._tape.caller(position, ulaw)
        self._put(iter(self._tape.take, None))

    def sent(self, command: CarrierCommand) -> None:
        """The carrier is being sent this."""
        match command:
            case SendMedia(ulaw):
                self._tape.agent(ulaw)
                self._put(iter(self._tape.take, None))
            case SendClear():
                self._tape.clear()

    async def finish(self) -> None:
        """Write what is left, for five seconds at most; then nothing is under way any more."""
        if self._over:
            return
        self._put(self._tape.rest())
        self._over = True
        self._wake.set()
        try:
            await asyncio.wait({self._task}, timeout=FINISH_S)
        finally:
            self._task.cancel()
            (result,) = await asyncio.gather(self._task, return_exceptions=True)
            if isinstance(result, Exception):
                log.error("call %s: recording failed", self._call_id, exc_info=result)
            for block in self._waiting:
                self._lose(block, self._cause or _NO_ANSWER)
            if self._lost:
                seconds = _ranges(self._lost, self._first or 0)
                log.error("call %s: seconds %s are not recorded: %s", self._call_id, seconds, self._cause)

    def _put(self, blocks: Iterable[Block]) -> None:
        for block in blocks:
            if block.number >= self._limit:
                self._lose(block, "the carrier sent more audio than the longest call has")
            elif len(self._waiting) >= MAX_WAITING:
                self._lose(block, self._cause or _NO_ANSWER)
            else:
                self._waiting.append(block)
                self._wake.set()

    def _lose(self, block: Block, cause: str) -> None:
        if block.caller:
            self._lost.append(block.number)
            self._cause = cause

    async def _write(self) -> None:
        while self._waiting or not self._over:
            if self._waiting:
                # It leaves the queue when its fate is known: whatever stops this task, nothing goes missing.
                await self._write_one(self._waiting[0])
                self._waiting.popleft()
            else:
                self._wake.clear()
                await self._wake.wait()

    async def _write_one(self, block: Block) -> None:
        try:
            async with asyncio.timeout(WRITE_S):
                if self._first is None:
                    self._first = await self._recording.begin()
                await self._recording.write(replace(block, number=self._first + block.number))
        except TimeoutError:
            self._lose(block, _NO_ANSWER)
        except NotRecorded as error:
            self._lose(block, str(error))


def _ranges(numbers: Iterable[int], first: int) -> str:
    """[3, 1, 2, 7] -> "1-3, 7", counted from `first`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(str(first + number) for number in run) for run in runs)

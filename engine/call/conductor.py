"""Executes the dialog core's commands: the engine's half of a call actor, without Ray.

Work for the models starts at once and comes back as events. What the caller would notice (playing, flushing,
hanging up) waits in order behind the journal, so that nothing takes effect that is not written down, unless
the journal is so slow that the caller would hear it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from engine.call.services import Deadlines, JournalFenced, Services
from engine.call.spec import Attach, CallSpec, NotThisCall
from engine.call.utterance import Utterance
from engine.call.work import Work
from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.dialog.core import Dialog
from engine.dialog.recovery import move_to_new_edge, recover
from engine.errors import ParleyError
from engine.link import Batch, LinkEnd
from engine.providers.base import Speech, SpeechRequest
from models.call import CallEvent

log = logging.getLogger("parley.call")

MAX_EFFECTS = 2_000
POLL_S = 1.0
DRAIN_S = 1.5


@dataclass(frozen=True, slots=True)
class _Settle:
    """An effect of its own: the edge of this link may forget what came before this number."""

    link: LinkEnd[cmd.EdgeCommand, ev.EdgeEvent]
    number: int


_Effect = cmd.Append | cmd.EdgeCommand | _Settle


class Conductor:
    """One call. Create it, `start` it, then feed it with `hear` and drain it with `commands`.

    `finished` is set when the call is over and everything that it had to say to journal and edge is said.
    Owns every task that it starts; `stop` cancels them all. `kept`: see `Work`.
    """

    def __init__(
        self,
        attach: Attach,
        services: Services,
        deadlines: Deadlines | None = None,
        kept: dict[SpeechRequest, Speech] | None = None,
    ) -> None:
        self.spec: CallSpec = attach.spec
        self.epoch = attach.epoch
        self.finished = asyncio.Event()
        self._services = services
        self._deadlines = deadlines or Deadlines()
        self._dialog = Dialog(
            attach.spec.agent,
            call_id=attach.spec.call_id,
            epoch=attach.epoch,
            max_call_s=attach.spec.max_call_s,
            unix_offset_s=time.time() - time.monotonic(),
        )
        self._link: LinkEnd[cmd.EdgeCommand, ev.EdgeEvent] = LinkEnd(first_expected=attach.first_kept)
        self._handled = attach.first_kept
        self._attach = attach
        self._utterance = Utterance()
        self._ignore_before = -1
        self._next_seq = 0
        self._unwritten: list[CallEvent] = []
        self._writing: asyncio.Task[None] | None = None
        self._fenced = False
        self._to_settle: deque[tuple[int, _Settle]] = deque()
        """Until the event before this number is written."""
        self._work = Work(attach.spec, services, self._deadlines, self._spawn, self._handle, kept)
        self._effects: asyncio.Queue[_Effect] = asyncio.Queue(MAX_EFFECTS)
        self._outgoing = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._last_poll = time.monotonic()
        self._polled = asyncio.Event()
        self._broken = False
        self._left = False
        self._position = 0
        self._owned: set[asyncio.Task[None]] = set()

    # Life

    async def start(self) -> None:
        """Answer the call, or take it over where its journal ends."""
        spec, attach = self.spec, self._attach
        async with asyncio.timeout(self._deadlines.journal):
            journal = await self._services.journal.read(spec.company_id, spec.call_id)
        self._spawn(self._run_effects(), f"effects {spec.call_id}")
        self._spawn(self._watch_edge(), f"watch {spec.call_id}")
        self._spawn(self._work.read_opening(), f"opening {spec.call_id}")
        self._spawn(self._work.keep_last_words(), f"last words {spec.call_id}")
        if not journal:
            data = {"agent_id": spec.agent.id, "caller": spec.caller, "called": spec.called}
            self._effects.put_nowait(cmd.Append("call_started", data))
            self._handle(ev.Started())
            return
        self._next_seq = journal[-1].seq + 1
        self._effects.put_nowait(cmd.Append("attached", {"epoch": attach.epoch, "reason": attach.reason}))
        resumed = recover(self._dialog, journal, attach.pieces, time.monotonic(), time.time() * 1000)
        self._ignore_before = resumed.through
        self._execute(resumed.commands)

    def reattach(self, attach: Attach) -> None:
        """Go on with the same edge after a hiccup, or with another after the first was lost."""
        self.epoch = attach.epoch
        self._last_poll = time.monotonic()
        self._left = False
        if attach.received is not None:
            self._link.forget(attach.received)
            self._link.replay()
            return
        self._link = LinkEnd(first_expected=attach.first_kept)
        self._handled = attach.first_kept
        self._drop_plays()
        self._effects.put_nowait(cmd.Append("attached", {"epoch": attach.epoch, "reason": attach.reason}))
        self._execute(move_to_new_edge(self._dialog, self.position, time.monotonic()))

    @property
    def position(self) -> int:
        """Just after the last sample of call audio that is known here."""
        return max(self._ignore_before, self._position)

    async def drained(self) -> None:
        """Until the edge has taken its last commands, or has left, or does not come for them."""
        deadline = time.monotonic() + DRAIN_S
        while self._link.unforgotten and not self._left and time.monotonic() < deadline:
            self._polled.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self._polled.wait()

    async def stop(self) -> None:
        """Cancel everything that is under way and wait until it is gone."""
        if self._timer is not None:
            self._timer.cancel()
        tasks = list(self._owned)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._work.close()

    # The edge's side

    def hear(self, batch: Batch[ev.EdgeEvent]) -> int:
        """Take what the edge tells; returns how far it was received."""
        self._last_poll = time.monotonic()
        for event in self._link.receive(batch):
            self._handled += 1
            self._take(event)
        return self._link.received

    def _take(self, event: ev.EdgeEvent) -> None:
        match event:
            case ev.CallerAudio(at, ulaw):
                self._position = max(self._position, at + len(ulaw))
                if at + len(ulaw) > self._ignore_before:
                    self._work.hear(self._utterance.push(at, ulaw))
            case ev.CallerSpoke(at) | ev.CallerPaused(at) if at <= self._ignore_before:
                pass  # said again for a turn that already stands in the journal
            case _:
                self._handle(event)

    async def commands(self, received: int, settled: int) -> Batch[cmd.EdgeCommand]:
        """What the edge is to do; waits up to a second for something, and is the heartbeat of both sides.

        Raises NotThisCall when another edge attached in the meantime.
        """
        epoch = self.epoch
        self._last_poll = time.monotonic()
        self._link.forget(settled)
        self._polled.set()
        if not self._link.pending:
            self._outgoing.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._outgoing.wait()
        if epoch != self.epoch:
            # A dead edge's poll goes on here for a while: it must not take what is for the living one.
            raise NotThisCall("another edge has the call")
        return self._link.batch()

    def hang_up(self, reason: str) -> None:
        """The call is over on the other side, which will not poll again."""
        self._left = True
        self._polled.set()
        self._handle(ev.HungUp(reason))

    def wind_up(self) -> None:
        """Say goodbye, let it be heard, then hang up."""
        self._handle(ev.Dismissed())

    async def _watch_edge(self) -> None:
        """An edge that neither polls nor tells anything is gone; without another the call ends."""
        limit = max(self._deadlines.edge_silent, self.spec.grace_s)
        while True:
            silent = time.monotonic() - self._last_poll
            if silent >= limit:
                self.hang_up("connection lost")
                return
            await asyncio.sleep(limit - silent)

    # Events in, commands out

    def _handle(self, event: ev.Event) -> None:
        self._execute(self._dialog.handle(event, time.monotonic()))

    def _execute(self, commands: Iterable[cmd.Command]) -> None:
        for command in commands:
            self._start(command)
        self._arm_timer()

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_at = self._dialog.wake_at
        if wake_at is not None:
            delay = max(0.0, wake_at - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        self._spawn(self._run_tick(), f"tick {self.spec.call_id}")

    async def _run_tick(self) -> None:
        self._handle(ev.Tick())

    def _start(self, command: cmd.Command) -> None:
        match command:
            case cmd.Transcribe() | cmd.Score():
                self._work.start(command, self._utterance.audio())
            case cmd.ScoreWords() | cmd.Retrieve() | cmd.Generate() | cmd.Synthesise():
                self._work.start(command, b"")
            case cmd.ReadAhead(requests):
                self._work.read_ahead(requests)
            case cmd.CancelAttempt(key) | cmd.CancelSpeech(key):
                self._work.cancel(key)
            case cmd.EndUtterance():
                self._utterance.clear()
                self._work.end_utterance()
                self._effects.put_nowait(_Settle(self._link, self._handled))
            case cmd.Tell() if not self.spec.events:
                pass
            case _:
                self._effects.put_nowait(command)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._owned.add(task)
        task.add_done_callback(self._reap)
        return task

    def _reap(self, task: asyncio.Task[None]) -> None:
        """A task that ended by a defect of ours ends the call: a caller must not hang on a broken line."""
        self._owned.discard(task)
        if task.cancelled() or task.exception() is None or self._broken:
            return
        log.error("call %s: %s failed", self.spec.call_id, task.get_name(), exc_info=task.exception())
        self._broken = True
        if not self.finished.is_set():
            self._spawn(self._give_up("internal error"), f"give up {self.spec.call_id}")

    async def _give_up(self, reason: str) -> None:
        """End the call past the queue of effects, which may be what broke."""
        self._link.send(cmd.HangUp(reason))
        self._outgoing.set()
        try:
            await self._append([cmd.Append("call_ended", {"reason": reason})])
            await self._written()
        finally:
            self.finished.set()

    # Effects: in order, the journal first

    async def _run_effects(self) -> None:
        while True:
            effects = [await self._effects.get()]
            while not self._effects.empty():
                effects.append(self._effects.get_nowait())
            link = self._link
            appends = [effect for effect in effects if isinstance(effect, cmd.Append)]
            if appends:
                await self._append(appends)
            if self._fenced:
                return
            for effect in effects:
                if link is self._link or not isinstance(effect, cmd.Play):
                    self._take_effect(effect)
            self._outgoing.set()
            if any(isinstance(effect, cmd.HangUp) for effect in effects):
                await self._written()
                self.finished.set()

    def _drop_plays(self) -> None:
        """What the lost edge was still to be given the dialog gives to the next, from where it was heard."""
        left = [self._effects.get_nowait() for _ in range(self._effects.qsize())]
        for effect in left:
            if not isinstance(effect, cmd.Play):
                self._effects.put_nowait(effect)

    def _take_effect(self, effect: _Effect) -> None:
        match effect:
            case cmd.Append():
                pass
            case _Settle():
                self._settle(effect)
            case _:
                self._link.send(effect)

    def _settle(self, effect: _Settle) -> None:
        """When all so far is written: a slow journal may not have the turn yet that the speech is of."""
        self._to_settle.append((self._next_seq, effect))
        if self._writing is None or self._writing.done():
            self._settle_up_to(self._next_seq)

    def _settle_up_to(self, seq: int) -> None:
        while self._to_settle and self._to_settle[0][0] <= seq:
            _, effect = self._to_settle.popleft()
            effect.link.settled = effect.number

    async def _append(self, appends: Sequence[cmd.Append]) -> None:
        """Write to the journal; a slow one is not waited for to the end.

        It must not silence the caller: after a moment the call goes on, and the write behind it.
        """
        now_ms = time.time() * 1000
        spec = self.spec
        whose: dict[str, Any] = {"call_id": spec.call_id, "company_id": spec.company_id, "at_ms": now_ms}
        events = [
            CallEvent(seq=seq, kind=append.kind, data=append.data, **whose)
            for seq, append in enumerate(appends, self._next_seq)
        ]
        self._next_seq += len(events)
        self._unwritten += events
        if self._writing is None or self._writing.done():
            self._writing = self._spawn(self._write(), f"journal {spec.call_id}")
        await self._written(self._deadlines.journal_wait)

    async def _written(self, within_s: float | None = None) -> None:
        """Until nothing is left to write, or for so long. Raises what the journal raised and must not."""
        if self._writing is not None:
            done, _ = await asyncio.wait({self._writing}, timeout=within_s)
            for writing in done:
                writing.result()

    async def _write(self) -> None:
        """Until all is written, one append at a time: Ray keeps no order among several, and behind one that
        another actor's was before nothing may be written.

        A journal that cannot be written must not end the call: it goes on, the loss is logged.
        """
        while self._unwritten and not self._fenced:
            events, self._unwritten = self._unwritten, []
            try:
                async with asyncio.timeout(self._deadlines.journal):
                    await self._services.journal.append(events)
            except JournalFenced:
                log.warning("call %s is with another actor: this one stops", self.spec.call_id)
                self._fenced = True
                self.finished.set()
            except (ParleyError, TimeoutError) as error:
                kinds = [event.kind for event in events]
                log.error("call %s: journal not written (%s): %s", self.spec.call_id, kinds, error)
            if not self._fenced:
                self._settle_up_to(events[-1].seq + 1)

"""The tape of a call: what the caller said beside what the caller heard. Sans-I/O, one for a stream.

The caller's audio is the clock: "now" is just after its last sample. What the agent sends is heard after what
it sent before, and never before now; so all that lies before now is final, and leaves in blocks of a second.
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.audio.g711 import SAMPLE_RATE_HZ, ULAW_SILENCE

BLOCK_SAMPLES = SAMPLE_RATE_HZ
MAX_AHEAD_SAMPLES = 5 * SAMPLE_RATE_HZ
"""An agent that is further ahead has a caller whose audio stalls: then the agent is the clock."""

_SILENCE = bytes((ULAW_SILENCE,))


@dataclass(frozen=True, slots=True)
class Block:
    """Second `number` (from 0) of a recording: 8,000 samples of mu-law on each channel, fewer in the last."""

    number: int
    caller: bytes
    agent: bytes


class Tape:
    """Feed it both sides as they pass, and `take` until it has no more; it keeps a few seconds at most."""

    def __init__(self) -> None:
        self._start = 0
        """Position of the first sample that is kept: that of a block."""
        self._caller = bytearray()
        self._agent = bytearray()
        self._late = 0
        """How far the caller's stream lies behind the tape, because it stalled."""

    @property
    def kept(self) -> int:
        """Bytes of audio in memory."""
        return len(self._caller) + len(self._agent)

    def caller(self, position: int, ulaw: bytes) -> None:
        """Caller audio; `position`: its first sample's number in the stream. What is missing is silence."""
        now = self._start + len(self._caller)
        at = max(position + self._late, now)
        self._late = at - position
        _pad(self._caller, at - self._start)
        self._caller += ulaw

    def agent(self, ulaw: bytes) -> None:
        """Agent audio, at the moment when the carrier is given it."""
        _pad(self._agent, len(self._caller))
        self._agent += ulaw
        _pad(self._caller, len(self._agent) - MAX_AHEAD_SAMPLES)

    def clear(self) -> None:
        """The carrier drops what it was given and has not played: it was never heard."""
        del self._agent[len(self._caller) :]

    def take(self) -> Block | None:
        """The next second that can no longer change; None: not yet.

        A second in which both channels are silent has no block: its number is left out.
        """
        while len(self._caller) >= BLOCK_SAMPLES:
            block = self._cut()
            if block.caller.strip(_SILENCE) or block.agent.strip(_SILENCE):
                return block
        return None

    def rest(self) -> tuple[Block, ...]:
        """What is left when the call is over. The last block, of 0 to 7,999 samples, ends the recording."""
        _pad(self._caller, len(self._agent))
        return (*iter(self.take, None), self._cut())

    def _cut(self) -> Block:
        caller = bytes(self._caller[:BLOCK_SAMPLES])
        agent = bytes(self._agent[:BLOCK_SAMPLES]).ljust(len(caller), _SILENCE)
        block = Block(self._start // BLOCK_SAMPLES, caller, agent)
        del self._caller[:BLOCK_SAMPLES], self._agent[:BLOCK_SAMPLES]
        self._start += BLOCK_SAMPLES
        return block


def _pad(channel: bytearray, samples: int) -> None:
    channel.extend(_SILENCE * (samples - len(channel)))

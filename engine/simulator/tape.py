"""Both directions of one simulated call on one clock, a 20 ms frame at a time.

Frame `n` of the caller is what was *sent* at tick n, frame `n` of the agent what was *played out* at tick n:
the two channels line up exactly.

A frame is loud when its RMS is above -40 dBFS (0 dBFS = 32,768). Speech at telephone level lies 15 to 25 dB
above that, breath, line noise and the tails of words below. The caller's loudness is taken from the recording
before noise is added, or with noise every frame would be loud.
"""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.audio import g711

FRAME_MS = 20
FRAME_BYTES = 160
"""Mu-law, 8,000 Hz: one byte a sample."""
SILENCE = b"\xff" * FRAME_BYTES
LOUD_DBFS = -40.0
_LOUD_POWER = (32_768.0 * 10 ** (LOUD_DBFS / 20)) ** 2
_POWER = g711.ulaw_to_pcm(bytes(range(256))).astype(np.float64) ** 2


def loud(frame: bytes) -> bool:
    """Whether a mu-law frame is loud."""
    return frame != SILENCE and float(_POWER[np.frombuffer(frame, np.uint8)].mean()) > _LOUD_POWER


def loud_frames(pcm: NDArray[np.int16]) -> list[bool]:
    """For each whole or begun 20 ms of PCM at 8,000 Hz: is it loud?"""
    padded = np.zeros(math.ceil(len(pcm) / FRAME_BYTES) * FRAME_BYTES)
    padded[: len(pcm)] = pcm
    power = (padded.reshape(-1, FRAME_BYTES) ** 2).mean(axis=1)
    return [bool(value) for value in power > _LOUD_POWER]


def to_pcm(samples: NDArray[np.float64]) -> NDArray[np.int16]:
    """Samples in int16 units as PCM; what is too loud is clipped."""
    clipped: NDArray[np.float64] = np.clip(samples, -32_768, 32_767)
    return clipped.astype(np.int16)


class Frame(NamedTuple):
    """One tick of a call: what was sent and what was played, and how loud each was."""

    at: float
    """Seconds on the caller's clock."""
    caller: bytes
    caller_loud: bool
    agent: bytes
    position: int
    """Place of the agent's first byte among all bytes received; -1 when there was nothing to play."""
    received_at: float
    """When that byte arrived; NaN when there was nothing to play."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One frame of the record, without its audio."""

    at: float
    caller_loud: bool
    agent_loud: bool
    position: int
    received_at: float


@dataclass(frozen=True, slots=True)
class Said:
    """Where an utterance lies on the tape: first tick, the tick behind its last, its last loud one."""

    start: int
    end: int
    last_loud: int
    complete: bool = True
    """False when the call ended in the middle."""


class Tape:
    """The record of a call, grown by one frame a tick."""

    def __init__(self) -> None:
        self.caller = bytearray()
        self.agent = bytearray()
        self._at = array("d")
        self._received_at = array("d")
        self._position = array("q")
        self._caller_loud = bytearray()
        self._agent_loud = bytearray()
        self.last_agent_loud = -1
        """Tick of the agent's last loud frame; -1 before the first."""

    def __len__(self) -> int:
        return len(self._at)

    def __getitem__(self, tick: int) -> Tick:
        return Tick(
            self._at[tick],
            bool(self._caller_loud[tick]),
            bool(self._agent_loud[tick]),
            self._position[tick],
            self._received_at[tick],
        )

    def add(self, frame: Frame) -> None:
        agent_loud = loud(frame.agent)
        if agent_loud:
            self.last_agent_loud = len(self)
        self.caller += frame.caller
        self.agent += frame.agent
        self._at.append(frame.at)
        self._received_at.append(frame.received_at)
        self._position.append(frame.position)
        self._caller_loud.append(frame.caller_loud)
        self._agent_loud.append(agent_loud)

    def at(self, tick: int) -> float:
        """When tick `tick` was; infinity for a tick that never came."""
        return self._at[tick] if tick < len(self._at) else math.inf

    def agent_loud_ticks(self, start: int, end: int) -> list[int]:
        return [start + i for i, is_loud in enumerate(self._agent_loud[start:end]) if is_loud]

    def talk_over_ms(self, start: int, end: int) -> int:
        """How long both were loud at once between two ticks."""
        both = zip(self._caller_loud[start:end], self._agent_loud[start:end], strict=True)
        return FRAME_MS * sum(1 for caller, agent in both if caller and agent)

    def gaps(self, start: int, end: int, *, longest: int = 10) -> int:
        """How often speech broke off for want of audio: loud, up to 200 ms of nothing to play, loud."""
        found, empty, before_loud = 0, 0, False
        for tick in range(start, min(end, len(self))):
            if self._position[tick] < 0:
                empty += 1
                continue
            if before_loud and self._agent_loud[tick] and 0 < empty <= longest:
                found += 1
            before_loud, empty = bool(self._agent_loud[tick]), 0
        return found

    def lateness_ms(self) -> list[float]:
        """How late each tick was against the clock of the call: what the simulator's own machine added."""
        return [max(0.0, (at - self._at[0]) * 1000 - FRAME_MS * n) for n, at in enumerate(self._at)]

    def stereo(self) -> NDArray[np.int16]:
        """PCM at 8,000 Hz, shape [samples, 2]: caller left, agent right as played out."""
        channels = [g711.ulaw_to_pcm(bytes(side)) for side in (self.caller, self.agent)]
        return np.stack(channels, axis=1)

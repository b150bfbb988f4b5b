"""Many simulated calls at once, each with a script of its own, on one event loop.

One process carries dozens of calls; `Tape.lateness_ms` says when it no longer does.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import ParleyError
from engine.simulator.analysis import Utterance
from engine.simulator.caller import REAL_TIME, Clock, Line
from engine.simulator.carrier import CallIdentity
from engine.simulator.conversation import ConversationResult, Pace, Script, run_conversation
from engine.simulator.recordings import speech_rms
from engine.simulator.tape import to_pcm

_NOISE_S = 5


@dataclass(frozen=True, slots=True, eq=False)
class Load:
    """Calls to be placed: one script each, `stagger_s` apart, over `background` noise."""

    scripts: Sequence[Script]
    stagger_s: float = 0.0
    background: NDArray[np.int16] | None = None
    seed: int = 0
    clock: Clock = REAL_TIME
    on_step: Callable[[], None] | None = None
    """Called after each step of any call."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of one call: a result, or why it could not be placed. `rounds`: the steps of its script."""

    number: int
    rounds: int
    result: ConversationResult | None = None
    failure: str = ""


async def place_calls(
    load: Load,
    url_for: Callable[[CallIdentity], str],
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Place all calls and wait for their ends. `url_for` is asked when a call is dialled: tokens expire.

    A call that cannot be placed or breaks off is an outcome; the others go on.
    """

    async def one(number: int, script: Script) -> Outcome:
        await load.clock.sleep(number * load.stagger_s)
        identity = CallIdentity()
        line, pace = Line(identity, load.clock, load.background), Pace(seed=load.seed + number)
        try:
            url = url_for(identity)
            result = await run_conversation(url, script, pace=pace, line=line, on_step=load.on_step)
            outcome = Outcome(number, len(script), result)
        except ParleyError as error:
            outcome = Outcome(number, len(script), failure=str(error))
        if on_outcome is not None:
            on_outcome(outcome)
        return outcome

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number, script)) for number, script in enumerate(load.scripts)]
    return [task.result() for task in tasks]


def spread_questions(
    utterances: Sequence[Utterance], calls: int, rounds: int, seed: int = 0
) -> list[list[Utterance]]:
    """A script for each call. No question comes twice before each has come once."""
    dice, deck = random.Random(seed), list[Utterance]()
    while utterances and len(deck) < calls * rounds:
        deck += dice.sample(list(utterances), len(utterances))
    return [deck[call * rounds : (call + 1) * rounds] for call in range(calls)]


def noise_for(utterances: Sequence[Utterance], snr_db: float, seed: int = 0) -> NDArray[np.int16]:
    """Five seconds of pink noise, `snr_db` dB below the speech of all utterances together."""
    level = speech_rms(np.concatenate([utterance.pcm for utterance in utterances])) / 10 ** (snr_db / 20)
    samples = _NOISE_S * 8_000
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(samples))
    spectrum[1:] /= np.sqrt(np.arange(1, len(spectrum)))
    spectrum[: 100 * _NOISE_S] = 0  # a telephone carries nothing below some 100 Hz
    noise = np.fft.irfft(spectrum, samples)
    return to_pcm(noise * level / np.sqrt(np.mean(noise**2)))

"""The tape: both channels on one clock, nothing lost or shifted, never more than seconds of it in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.call.tape import BLOCK_SAMPLES, MAX_AHEAD_SAMPLES, Block, Tape

SILENCE = b"\xff"


@dataclass(frozen=True)
class Caller:
    lost: int
    samples: int


@dataclass(frozen=True)
class Agent:
    samples: int


class Clear:
    pass


Step = Caller | Agent | Clear

STEPS = st.lists(
    st.one_of(
        st.builds(Caller, st.sampled_from([0, 0, 0, 160, 3_000, 40_000]), st.integers(1, 2_500)),
        st.builds(Agent, st.sampled_from([160, 160, 480, 7])),
        st.builds(Clear),
    ),
    max_size=60,
)


class Reference:
    """What the tape shall hold, kept whole and in the plainest way. Every sample tells what it is."""

    def __init__(self) -> None:
        self.caller = b""
        self.agent = b""
        self._said = 0

    def sound(self, samples: int) -> bytes:
        self._said += samples
        return bytes(number % 251 for number in range(self._said - samples, self._said))

    def hear(self, lost: int, ulaw: bytes) -> int:
        position = len(self.caller) + lost
        self.caller = self.caller.ljust(position, SILENCE) + ulaw
        return position

    def send(self, ulaw: bytes) -> None:
        self.agent = self.agent.ljust(len(self.caller), SILENCE) + ulaw

    def clear(self) -> None:
        self.agent = self.agent[: len(self.caller)]

    def whole(self) -> tuple[bytes, bytes]:
        samples = max(len(self.caller), len(self.agent))
        return self.caller.ljust(samples, SILENCE), self.agent.ljust(samples, SILENCE)


def drain(tape: Tape) -> list[Block]:
    return list(iter(tape.take, None))


def play(steps: Iterable[Step]) -> tuple[list[Block], Reference]:
    """The blocks of a tape, and what they shall be; the tape's memory is watched on the way."""
    tape, reference, blocks = Tape(), Reference(), list[Block]()
    for step in steps:
        match step:
            case Caller(lost, samples):
                ulaw = reference.sound(samples)
                tape.caller(reference.hear(lost, ulaw), ulaw)
            case Agent(samples):
                ulaw = reference.sound(samples)
                tape.agent(ulaw)
                reference.send(ulaw)
            case Clear():
                tape.clear()
                reference.clear()
        blocks += drain(tape)
        assert tape.kept < 2 * BLOCK_SAMPLES + MAX_AHEAD_SAMPLES
    return blocks + list(tape.rest()), reference


def joined(blocks: Sequence[Block]) -> tuple[bytes, bytes]:
    """The channels of a file into which the blocks are written."""
    caller = agent = b""
    for block in blocks:
        assert len(block.caller) == len(block.agent), "both channels are equally long"
        begins = block.number * BLOCK_SAMPLES
        assert begins >= len(caller), "blocks come in order, each once"
        caller = caller.ljust(begins, SILENCE) + block.caller
        agent = agent.ljust(begins, SILENCE) + block.agent
    return caller, agent


@settings(deadline=None)
@given(STEPS)
def test_every_sample_is_where_it_was_heard(steps: list[Step]) -> None:
    blocks, reference = play(steps)
    assert joined(blocks) == reference.whole()
    assert all(len(block.caller) == BLOCK_SAMPLES for block in blocks[:-1])
    assert len(blocks[-1].caller) < BLOCK_SAMPLES


@settings(deadline=None)
@given(STEPS)
def test_what_was_taken_is_never_changed_by_what_comes(steps: list[Step]) -> None:
    """The blocks of a call that ends early are those with which the same call begins when it goes on."""
    half = steps[: len(steps) // 2]
    begun, reference = play(half)
    blocks, _ = play(steps)
    final = len(reference.caller) // BLOCK_SAMPLES
    assert [b for b in begun if b.number < final] == [b for b in blocks if b.number < final]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 900), max_size=4), st.integers(0, 20_000))
def test_a_caller_who_stalls_loses_nothing(before: list[int], samples: int) -> None:
    """For 20 s the carrier sends nothing, the agent speaks on; then the stream goes on where it was."""
    tape = Tape()
    sound = Reference().sound
    said, position = b"", 0
    blocks = list[Block]()
    for count in before:
        ulaw = sound(count)
        tape.caller(position, ulaw)
        position, said = position + count, said + ulaw
    frames = [sound(160) for _ in range(1_000)]
    for frame in frames:
        tape.agent(frame)
        blocks += drain(tape)
        assert tape.kept < 2 * (BLOCK_SAMPLES + MAX_AHEAD_SAMPLES)
    late = sound(samples)
    tape.caller(position, late)
    blocks += [*drain(tape), *tape.rest()]
    caller, agent = joined(blocks)
    assert agent[position : position + 160_000] == b"".join(frames)
    stalled = 160_000 - MAX_AHEAD_SAMPLES
    assert caller.startswith(said + SILENCE * stalled + late)


def test_a_stalled_caller_whose_lost_samples_are_counted_is_not_late() -> None:
    tape = Tape()
    for _ in range(400):
        tape.agent(b"a" * 160)
    blocks = drain(tape)
    tape.caller(64_000, b"c" * 160)
    caller, agent = joined([*blocks, *drain(tape), *tape.rest()])
    assert caller == SILENCE * 64_000 + b"c" * 160
    assert agent == b"a" * 64_000 + SILENCE * 160


def test_what_was_cleared_was_never_heard() -> None:
    tape = Tape()
    tape.caller(0, b"c" * 1_000)
    tape.agent(b"a" * 2_000)
    tape.caller(1_000, b"c" * 500)
    tape.clear()
    tape.agent(b"b" * 100)
    (rest,) = tape.rest()
    assert rest.agent == SILENCE * 1_000 + b"a" * 500 + b"b" * 100
    assert rest.caller == b"c" * 1_500 + SILENCE * 100


def test_silent_seconds_have_no_block_but_the_last_says_how_long_it_was() -> None:
    tape = Tape()
    tape.caller(0, SILENCE * BLOCK_SAMPLES)
    tape.caller(30 * BLOCK_SAMPLES, b"c")
    tape.caller(30 * BLOCK_SAMPLES + 1, SILENCE * (2 * BLOCK_SAMPLES - 1))
    assert [block.number for block in drain(tape)] == [30]
    assert tape.rest() == (Block(32, b"", b""),)

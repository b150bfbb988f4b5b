"""The link delivers everything once and in order, whatever the transport does."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ProtocolError
from engine.link import Batch, LinkEnd
from engine.link.end import MAX_EARLY, MAX_KEPT


def test_batches_carry_each_item_once() -> None:
    end: LinkEnd[str, str] = LinkEnd()
    end.send("a")
    end.send("b")
    assert end.batch() == Batch(0, ("a", "b"))
    assert not end.batch()
    end.send("c")
    assert end.batch().first == 2


def test_an_item_ahead_of_a_gap_waits() -> None:
    end: LinkEnd[str, str] = LinkEnd()
    assert end.receive(Batch(1, ("b",))) == ()
    assert end.receive(Batch(0, ("a",))) == ("a", "b")
    assert end.received == 2


def test_received_is_not_settled() -> None:
    edge: LinkEnd[str, str] = LinkEnd()
    actor: LinkEnd[str, str] = LinkEnd()
    edge.send("speech")
    actor.receive(edge.batch())
    edge.receive(actor.batch())
    edge.replay()
    assert edge.batch().items == ("speech",), "kept until its turn is in the journal"
    actor.settled = 1
    edge.receive(actor.batch())
    edge.replay()
    assert edge.batch().items == ()
    assert edge.first_kept == 1


def test_a_replacement_joins_where_the_kept_items_begin() -> None:
    edge: LinkEnd[str, str] = LinkEnd()
    for item in "abc":
        edge.send(item)
    edge.batch()
    edge.forget(2)
    replacement: LinkEnd[str, str] = LinkEnd(first_expected=edge.first_kept)
    edge.replay()
    edge.restart_incoming()
    assert replacement.receive(edge.batch()) == ("c",)


def test_bounds() -> None:
    end: LinkEnd[int, int] = LinkEnd()
    for number in range(MAX_KEPT):
        end.send(number)
    with pytest.raises(ProtocolError, match="link full"):
        end.send(0)
    with pytest.raises(ProtocolError, match="never came"):
        end.receive(Batch(1, tuple(range(MAX_EARLY + 1))))


@given(st.integers(0, 2**32), st.integers(1, 60), st.booleans())
def test_everything_once_and_in_order(seed: int, count: int, replaced: bool) -> None:
    rng = random.Random(seed)
    sender: LinkEnd[int, int] = LinkEnd()
    receiver: LinkEnd[int, int] = LinkEnd()
    flying: list[Batch[int]] = []
    got: list[int] = []
    for number in range(count):
        sender.send(number)
        if rng.random() < 0.5:
            flying.append(sender.batch())
        if rng.random() < 0.1:
            sender.replay()
    sender.replay()
    flying.append(sender.batch())
    rng.shuffle(flying)
    for batch in flying + flying:
        got.extend(receiver.receive(batch))
        receiver.settled = receiver.received
        sender.receive(receiver.batch())
    assert got == list(range(count))
    assert sender.first_kept == count

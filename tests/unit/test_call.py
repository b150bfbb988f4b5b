"""Edge, link and conductor together: what happens to a call when its parts die."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from engine.call import edge
from engine.call.services import JournalFenced, JournalLost
from engine.call.spec import NotThisCall
from models import AgentConfig, CallEvent, Phrases
from tests.unit.call_bench import FRAME, LOUD, QUIET, SAMPLES_A_CHARACTER, CallBench, Socket

GREETING = "Hello."
AGENT = AgentConfig(id="front", company_id="acme", phrases=Phrases(greeting=GREETING))
ANSWER = "We open at nine on weekdays. On Saturdays we open at ten in the morning."


@pytest.fixture
async def bench() -> AsyncIterator[CallBench]:
    bench = CallBench(AGENT)
    yield bench
    await bench.close()


async def greeted(bench: CallBench) -> None:
    bench.connect()
    await bench.socket.until(lambda: bench.socket.told("heard"))


def agent_said(bench: CallBench) -> list[str]:
    return [told["text"].strip() for told in bench.socket.told("agent")]


async def test_a_question_is_answered_and_journaled(bench: CallBench) -> None:
    await greeted(bench)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert bench.socket.told("user")[0]["text"] == "When do you open?"
    assert " ".join(agent_said(bench)[1:]) == ANSWER
    assert [event.seq for event in bench.journal.events] == list(range(len(bench.journal.events)))
    assert bench.journal.of("heard")[-1]["text"] == ANSWER


async def test_a_provider_that_listens_live_hears_the_caller_at_once(bench: CallBench) -> None:
    models = bench.models
    models.live, models.heard = True, ["When do you open?"]
    await greeted(bench)
    bench.socket.audio(LOUD, 25)
    await models.until(lambda: sum(models.pushed) > 10 * FRAME)
    assert models.transcribed == [], "the caller has not paused yet"
    bench.socket.audio(QUIET, 15)
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert bench.journal.of("turn_ended")[0]["text"] == "When do you open?"
    assert models.pushed == models.transcribed, "one session, and nothing was sent twice"


async def test_a_turn_with_a_pause_is_heard_live_in_two_sessions(bench: CallBench) -> None:
    models = bench.models
    models.live, models.heard = True, ["When do you"]
    await greeted(bench)
    bench.socket.audio(LOUD, 25)
    bench.socket.audio(QUIET, 6)
    await models.until(lambda: len(models.transcribed) == 1)
    await bench.ask("open?")
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert bench.journal.of("turn_ended")[-1]["text"] == "When do you open?"
    assert len(models.pushed) == 2
    await bench.ask("And on Sundays?")
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 3)
    assert bench.journal.of("turn_ended")[-1]["text"] == "And on Sundays?", "of another turn"


async def test_a_live_session_ends_with_its_call(bench: CallBench) -> None:
    models = bench.models
    models.live = True
    await greeted(bench)
    bench.socket.audio(LOUD, 25)
    await models.until(lambda: sum(models.pushed) > 0)
    bench.socket.put(event="stop", stop={"accountSid": "AC1", "callSid": "CA1"})
    await bench.tasks[0]
    assert (models.transcribed, models.open) == ([], 0)


async def test_a_turn_of_which_a_live_session_lost_a_part_is_transcribed_whole(bench: CallBench) -> None:
    models = bench.models
    models.live, models.broken = True, 1
    await greeted(bench)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert bench.journal.of("turn_ended")[0]["text"] == "When do you open?"
    assert len(models.pushed) == 2
    assert models.pushed[1] == models.transcribed[0] >= models.pushed[0]
    assert models.open == 0


async def test_the_caller_hangs_up(bench: CallBench) -> None:
    await greeted(bench)
    bench.socket.put(event="stop", stop={"accountSid": "AC1", "callSid": "CA1"})
    assert await bench.tasks[0] == "caller hung up"
    conductor = bench.ports[0].conductor
    assert conductor is not None
    await conductor.finished.wait()
    assert bench.journal.of("call_ended") == [{"reason": "caller hung up"}]


async def test_a_caller_who_hangs_up_in_mid_answer_is_written_down_with_what_was_heard(
    bench: CallBench,
) -> None:
    await greeted(bench)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(agent_said(bench)) >= 2)
    played = bench.socket.played_ms
    await bench.socket.until(lambda: bench.socket.played_ms >= played + 300)
    bench.socket.put(event="stop", stop={"accountSid": "AC1", "callSid": "CA1"})
    await bench.tasks[0]
    heard = bench.journal.of("heard")[-1]
    assert heard["interrupted"] is True
    assert 0 < len(heard["text"]) < len(ANSWER)
    assert ANSWER.startswith(heard["text"])


async def test_frames_that_leave_together_are_one_message(bench: CallBench) -> None:
    await greeted(bench)
    frames = -(-len(GREETING) * SAMPLES_A_CHARACTER // FRAME)
    kinds = [message["event"] for message in bench.socket.sent if message["event"] in ("media", "mark")]
    assert frames > 1
    assert kinds == ["media", "mark"]
    assert bench.socket.played_ms == frames * 20


async def test_a_dead_edges_poll_takes_nothing_from_the_living_one(bench: CallBench) -> None:
    """A poll of an edge that was killed is still waiting in the actor when the next edge attaches."""
    await greeted(bench)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(agent_said(bench)) >= 2)
    conductor = bench.ports[0].conductor
    assert conductor is not None
    bench.tasks[0].cancel()
    await asyncio.gather(bench.tasks[0], return_exceptions=True)
    await conductor.commands(0, 0)
    left_behind = asyncio.create_task(conductor.commands(0, 0))
    await asyncio.sleep(0)
    again = Socket()
    bench.connect(again)
    with pytest.raises(NotThisCall):
        await left_behind
    await again.until(lambda: again.told("heard"))
    assert bench.journal.of("heard")[-1]["text"] == ANSWER


async def test_speech_over_the_agent_stops_it_at_once_and_a_turn_replaces_the_answer(
    bench: CallBench,
) -> None:
    await greeted(bench)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(agent_said(bench)) >= 2)
    await bench.ask("And where are you located then?")
    await bench.socket.until(lambda: len(bench.socket.told("user")) == 2)
    assert bench.socket.count("clear") >= 1
    interrupted = bench.journal.of("heard")[-1]
    assert interrupted["interrupted"] is True
    assert ANSWER.startswith(interrupted["text"])


async def test_an_answer_does_not_begin_while_the_caller_may_be_beginning_to_speak(
    bench: CallBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.call.player.WITHHELD_S", 60.0)
    await greeted(bench)
    bench.models.hold_llm.clear()
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: bench.socket.told("user"))
    played_ms = bench.socket.played_ms
    bench.socket.audio(LOUD, 1)
    bench.models.hold_llm.set()
    await bench.socket.until(lambda: len(agent_said(bench)) >= 2)
    for _ in range(100):  # until the audio, too, has come to the edge
        await asyncio.sleep(0)
    assert bench.socket.played_ms == played_ms
    bench.socket.audio(QUIET, 4)
    await bench.socket.until(lambda: bench.socket.played_ms > played_ms)
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    heard = bench.journal.of("heard")[-1]
    assert (heard["text"], heard["interrupted"]) == (ANSWER, False)
    assert "first_byte" in heard["stamps"]


async def test_a_cough_over_the_agent_changes_nothing_of_what_is_heard(bench: CallBench) -> None:
    await greeted(bench)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(agent_said(bench)) >= 2)
    await bench.ask("")
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert bench.journal.of("heard")[-1]["text"] == ANSWER
    assert bench.journal.of("heard")[-1]["interrupted"] is False


async def test_an_actor_killed_in_mid_answer_is_replaced_and_nothing_is_said_twice(bench: CallBench) -> None:
    await greeted(bench)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(agent_said(bench)) >= 2)
    await bench.ports[0].kill()
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert len(bench.ports) == 2
    assert " ".join(agent_said(bench)[1:]) == ANSWER
    assert bench.journal.of("heard")[-1]["text"] == ANSWER
    assert len(bench.journal.of("turn_ended")) == 1
    assert bench.journal.of("attached")[0]["reason"] == "actor lost"


async def test_an_actor_killed_in_mid_question_hears_all_of_it_from_the_edge(bench: CallBench) -> None:
    await greeted(bench)
    bench.models.heard = ["When do you open?"]
    bench.socket.audio(LOUD, 40)
    port = bench.ports[0]
    await bench.socket.until(lambda: {"type": "state", "state": "hearing"} in bench.socket.told("state"))
    await port.kill()
    bench.socket.audio(LOUD, 10)
    bench.socket.audio(QUIET, 15)
    await bench.socket.until(lambda: len(bench.socket.told("user")) == 1)
    assert bench.models.transcribed[-1] >= 50 * 160, "both halves of the question"
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert len(bench.journal.of("turn_ended")) == 1


async def test_an_actor_killed_while_it_thinks_leaves_the_turn_to_its_replacement(bench: CallBench) -> None:
    await greeted(bench)
    bench.models.hold_llm.clear()
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: bench.socket.told("user"))
    await bench.ports[0].kill()
    bench.models.hold_llm.set()
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert [data["text"] for data in bench.journal.of("turn_ended")] == ["When do you open?"]
    assert bench.journal.of("heard")[-1]["text"] == ANSWER


async def test_the_history_survives_a_replacement(bench: CallBench) -> None:
    await greeted(bench)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    await bench.ports[0].kill()
    await bench.ask("And where are you located?")
    await bench.socket.until(lambda: len(bench.socket.told("user")) == 2)
    prompt = " ".join(message.content for message in bench.models.requests[-1].messages)
    assert "When do you open?" in prompt
    assert "in the morning" in prompt


async def test_a_lost_socket_ends_the_call_after_its_grace(bench: CallBench) -> None:
    await greeted(bench)
    bench.socket.drop()
    assert await bench.tasks[0] == "connection lost"
    conductor = bench.ports[0].conductor
    assert conductor is not None
    await conductor.finished.wait()
    assert bench.journal.of("call_ended") == [{"reason": "connection lost"}]


async def test_a_carrier_that_reconnects_in_mid_answer_hears_the_rest(bench: CallBench) -> None:
    await greeted(bench)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(agent_said(bench)) >= 2)
    bench.socket.drop()
    await bench.tasks[0]
    again = Socket()
    bench.connect(again)
    await again.until(lambda: again.told("heard"))
    assert bench.journal.of("heard")[-1]["text"] == ANSWER
    assert not bench.journal.of("call_ended")


async def test_a_socket_that_starts_no_call_is_let_go(
    bench: CallBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(edge, "START_S", 0.02)
    assert await bench.open() == "never started"
    assert bench.ports[0].conductor is None
    assert not bench.journal.events


@pytest.mark.parametrize(
    "bad",
    ["this is no JSON", '{"event":"media"}', '{"event":"media","streamSid":"MZ1","media":{"payload":"!!"}}'],
)
async def test_a_broken_message_ends_that_call_with_a_reason(bench: CallBench, bad: str) -> None:
    await greeted(bench)
    bench.socket.raw(bad)
    assert await bench.tasks[0] == "protocol error"
    assert bench.socket.closed == 1008
    conductor = bench.ports[0].conductor
    assert conductor is not None
    await conductor.finished.wait()
    assert bench.journal.of("call_ended") == [{"reason": "protocol error"}]


async def test_a_journal_that_breaks_in_an_unforeseen_way_ends_the_call_and_does_not_hang_it(
    bench: CallBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await greeted(bench)

    async def explode(events: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(bench.journal, "append", explode)
    await bench.ask("When do you open?")
    conductor = bench.ports[0].conductor
    assert conductor is not None
    async with asyncio.timeout(5):
        await conductor.finished.wait()


class Slow:
    """The bench's journal behind a disk that takes its time. `most`: how many appends it had at once."""

    def __init__(self, bench: CallBench, takes_s: float) -> None:
        self._append = bench.journal.append
        self.takes_s = takes_s
        self._now = self.most = 0

    async def append(self, events: Sequence[CallEvent]) -> None:
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(self.takes_s)
            await self._append(events)
        finally:
            self._now -= 1


async def test_a_slow_journal_does_not_silence_the_agent_and_is_written_in_order(
    bench: CallBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await greeted(bench)
    slow = Slow(bench, 1.0)
    monkeypatch.setattr(bench.journal, "append", slow.append)
    before = bench.socket.played_ms
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: bench.socket.played_ms > before)
    assert not bench.journal.of("reply_released")[1:], "it is heard before it is written"
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    bench.socket.drop()
    conductor = bench.ports[0].conductor
    assert conductor is not None
    await asyncio.wait_for(conductor.finished.wait(), 5)
    assert [event.seq for event in bench.journal.events] == list(range(len(bench.journal.events)))
    assert bench.journal.events[-1].kind == "call_ended", "a call is over when all of it is written"
    assert bench.journal.of("heard")[-1]["text"] == ANSWER
    assert slow.most == 1


async def test_speech_is_forgotten_as_its_turn_is_written_however_much_is_still_to_be_written(
    bench: CallBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await greeted(bench)
    conductor = bench.ports[0].conductor
    assert conductor is not None
    settled: list[tuple[list[str], int]] = []
    append = bench.journal.append

    async def note(events: Sequence[CallEvent]) -> None:
        settled.append(([event.kind for event in events], conductor._link.settled))
        await asyncio.sleep(0.5)
        await append(events)

    monkeypatch.setattr(bench.journal, "append", note)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    written = next(at for at, (kinds, _) in enumerate(settled) if "turn_ended" in kinds)
    assert settled[written][1] == settled[0][1], "not before"
    assert settled[-1][1] > settled[0][1], "while the rest is written"


async def test_an_actor_that_dies_before_a_slow_journal_took_the_turn_leaves_it_to_its_replacement(
    bench: CallBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await greeted(bench)
    slow = Slow(bench, 2.0)
    monkeypatch.setattr(bench.journal, "append", slow.append)
    before = bench.socket.played_ms
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: bench.socket.played_ms > before)
    slow.takes_s = 0
    await bench.ports[0].kill()
    assert not bench.journal.of("turn_ended")
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert [data["text"] for data in bench.journal.of("turn_ended")] == ["When do you open?"]


async def test_an_actor_that_learns_late_that_another_has_the_call_stops_and_writes_no_more(
    bench: CallBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await greeted(bench)
    asked: list[CallEvent] = []

    async def refuse(events: Sequence[CallEvent]) -> None:
        asked.extend(events)
        await asyncio.sleep(0.6)
        raise JournalFenced("these numbers are written")

    monkeypatch.setattr(bench.journal, "append", refuse)
    await bench.ask("When do you open?")
    conductor = bench.ports[0].conductor
    assert conductor is not None
    await asyncio.wait_for(conductor.finished.wait(), 5)
    first = list(asked)
    conductor.hang_up("caller hung up")
    await asyncio.sleep(0.05)
    assert asked == first


async def test_a_journal_that_is_lost_does_not_silence_the_agent(
    bench: CallBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await greeted(bench)

    async def lose(events: object) -> None:
        raise JournalLost("the recorder does not answer")

    monkeypatch.setattr(bench.journal, "append", lose)
    await bench.ask("When do you open?")
    await bench.socket.until(lambda: len(bench.socket.told("heard")) == 2)
    assert bench.socket.told("heard")[-1]["text"] == ANSWER

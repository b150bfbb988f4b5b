"""A caller on real sockets, with a small answering agent at the other end; time runs twenty times faster."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from engine.errors import ProtocolError, Refused, TokenRefused, UsageError
from engine.simulator.analysis import Utterance
from engine.simulator.caller import Caller, Clock, Line
from engine.simulator.carrier import CallIdentity
from engine.simulator.conversation import Pace, run_conversation
from engine.simulator.events import AgentPiece, CallStarted, Event, TurnDone, UserTurn
from engine.simulator.load import Load, noise_for, place_calls, spread_questions
from tests.unit.simulator_agent import Agent, event, listening, mark, reply, speech, tone

FAST = Clock(speed=20)
GREETING = [event("call", call_id="c1", agent="demo"), *reply(0, 200, "Hello.", "greeting")]
QUESTION = Utterance("hours", tone(200), "When do you open?")


def line(**fields: object) -> Line:
    return Line(clock=FAST, **fields)  # type: ignore[arg-type]


def answer(turn: int) -> list[dict[str, object]]:
    done = event("turn", turn=turn, user="when", agent="Eight.", kind="reply", stamps={"speech_end": 1.0})
    return [event("user", turn=turn, text="when"), *reply(turn), done]


async def test_a_conversation_is_asked_answered_and_hung_up() -> None:
    agent, seen = Agent(GREETING, [answer(1), answer(2)]), list[Event]()
    async with listening(agent) as url:
        result = await run_conversation(url, [QUESTION, QUESTION], seen.append, line=line())
    assert [turn.answered for turn in result.turns] == [True, True]
    assert [turn.heard_as for turn in result.turns] == ["when", "when"]
    assert [len(turn.done) for turn in result.turns] == [1, 1]
    assert (result.call_id, result.violations, result.unsaid) == ("c1", [], 0)
    assert result.greeting_ms is not None
    assert [type(one) for one in seen] == [type(one.event) for one in result.events]
    assert agent.marks == ["0-greeting", "1-reply", "2-reply"]
    assert [message["event"] for message in agent.received[:2]] == ["connected", "start"]
    assert agent.received[-1]["event"] == "stop"
    sequence = [int(message["sequenceNumber"]) for message in agent.received[1:]]
    assert sequence == list(range(1, len(agent.received)))
    assert len(agent.of("media")) == len(result.tape)


async def test_what_is_sent_is_what_is_on_the_tape() -> None:
    agent = Agent()
    async with listening(agent) as url, Caller.dial(url, line()) as caller:
        said = await caller.say(tone(110))
        await caller.pause(0.1)
    assert (said.end - said.start, said.last_loud, said.complete) == (6, said.start + 5, True)
    loud = [n for n in range(len(caller.tape)) if caller.tape[n].caller_loud]
    assert loud == list(range(said.start, said.end))


async def test_a_server_without_events_is_measured_by_ear() -> None:
    agent = Agent([speech(100)], [[speech(300)]])
    async with listening(agent) as url:
        result = await run_conversation(url, [QUESTION], line=line())
    assert result.turns[0].answered
    assert len(result.turns[0].answer) == 300 * 8


async def test_a_filler_does_not_end_the_wait_for_an_answer() -> None:
    filler = reply(1, 100, "One moment.", "filler")
    agent = Agent([], [filler, answer(1)])
    async with listening(agent) as url, Caller.dial(url, line()) as caller:
        await caller.say(QUESTION.pcm)
        assert not await caller.agent_done(1.5)
        await caller.say(QUESTION.pcm)
        assert await caller.agent_done(5)


async def test_keys_and_events() -> None:
    agent = Agent(GREETING)
    async with listening(agent) as url, Caller.dial(url, line()) as caller:
        await caller.press("1")
        call = await caller.wait_for(lambda one: isinstance(one, CallStarted), 5)
        assert call == CallStarted("c1", "demo")
        assert await caller.wait_for(lambda one: isinstance(one, UserTurn), 0.2) is None
    assert [message["dtmf"]["digit"] for message in agent.of("dtmf")] == ["1"]


async def test_a_clear_silences_the_agent_and_returns_its_marks() -> None:
    agent = Agent([speech(5_000), mark("a")], [[mark("b"), {"event": "clear"}]])
    async with listening(agent) as url, Caller.dial(url, line()) as caller:
        await caller.say(QUESTION.pcm)
        await caller.pause(1)
        assert caller.carrier.buffered_ms == 0
    assert agent.marks == ["a", "b"]
    assert len(caller.tape) - caller.tape.last_agent_loud > 20


async def test_a_server_that_hangs_up_ends_the_call_not_the_script() -> None:
    ending = [*answer(1), event("ended", reason="agent said goodbye")]
    agent = Agent(GREETING, [ending], hang_up_after=1)
    async with listening(agent) as url:
        result = await run_conversation(url, [QUESTION] * 3, line=line())
    assert (result.close_code, result.ended, result.unsaid) == (1000, "agent said goodbye", 2)


async def test_a_broken_protocol_is_kept() -> None:
    agent = Agent([{"event": "media", "media": {"payload": "%"}}, {"event": "nonsense"}])
    async with listening(agent) as url:
        result = await run_conversation(url, [], line=line(), pace=Pace(greeting_s=0.2))
    assert [violation.rule for violation in result.violations] == [
        "payload is not base64",
        "unknown event 'nonsense'",
    ]


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [(403, TokenRefused, "media token is used or too old"), (500, Refused, "HTTP 500")],
)
async def test_a_refused_call_is_one_clear_line(status: int, error: type[Exception], message: str) -> None:
    async with listening(Agent(), refuse=status) as url:
        with pytest.raises(error, match=message):
            await run_conversation(url, [], line=line())


async def test_no_server_is_one_clear_line_without_the_token() -> None:
    async with listening(Agent()) as url:
        pass
    with pytest.raises(UsageError, match=r"nothing answers at ws://127.0.0.1:\d+: start") as caught:
        await run_conversation(url, [])
    assert "token" not in str(caught.value)
    with pytest.raises(UsageError, match="not a ws://"):
        await run_conversation("http://localhost", [])


async def test_background_noise_lasts_all_call_and_does_not_make_silence_loud() -> None:
    noise = noise_for([QUESTION], snr_db=10)
    agent = Agent()
    async with listening(agent) as url, Caller.dial(url, line(background=noise)) as caller:
        await caller.pause(0.3)
        said = await caller.say(tone(100))
    left = caller.tape.stereo()[:, 0].astype(float)
    assert np.sqrt(np.mean(left[: said.start * 160] ** 2)) > 500
    assert not any(caller.tape[n].caller_loud for n in range(said.start))


def test_noise_lies_so_many_db_below_the_speech() -> None:
    pcm = np.concatenate([tone(1_000), np.zeros(8_000, np.int16)])
    speech_power = np.mean(tone(1_000).astype(float) ** 2)
    noise_power = np.mean(noise_for([Utterance("u", pcm)], 15).astype(float) ** 2)
    assert 10 * np.log10(speech_power / noise_power) == pytest.approx(15, abs=0.1)


async def test_many_calls_at_once_and_one_that_fails() -> None:
    agents = [Agent(GREETING, [answer(1)]) for _ in range(3)]
    async with listening(agents[0]) as a, listening(agents[1]) as b, listening(agents[2], refuse=503) as c:
        urls, identities = iter([a, b, c]), list[CallIdentity]()

        def url_for(identity: CallIdentity) -> str:
            identities.append(identity)
            return next(urls)

        told: list[int] = []
        load = Load([[QUESTION]] * 3, stagger_s=0.1, clock=FAST)
        outcomes = await place_calls(load, url_for, lambda outcome: told.append(outcome.number))
    assert [outcome.result is not None for outcome in outcomes] == [True, True, False]
    assert "HTTP 503" in outcomes[2].failure
    assert told == [2, *told[1:]]
    results = [outcome.result for outcome in outcomes if outcome.result]
    assert [result.identity for result in results] == identities[:2]
    assert [turn.answered for result in results for turn in result.turns] == [True, True]
    assert all(isinstance(result.events[-1].event, TurnDone) for result in results)


def test_questions_are_spread_before_any_comes_again() -> None:
    questions = [Utterance(str(n), tone(20)) for n in range(5)]
    scripts = spread_questions(questions, calls=3, rounds=4, seed=1)
    assert [len(script) for script in scripts] == [4, 4, 4]
    asked = [utterance.id for utterance in itertools.chain(*scripts)]
    assert sorted(asked[:5]) == sorted(asked[5:10]) == list("01234")
    assert spread_questions([], 2, 3) == [[], []]


async def test_an_invalid_key_is_refused_and_the_call_goes_on() -> None:
    async with listening(Agent()) as url, Caller.dial(url, line()) as caller:
        with pytest.raises(ProtocolError, match="no key"):
            await caller.press("A")
        assert caller.open


async def test_a_dropped_line_sends_nothing_more() -> None:
    agent = Agent(GREETING)
    async with listening(agent) as url, Caller.dial(url, line()) as caller:
        await caller.agent_done(10)
        caller.drop_line()
        frames = len(agent.of("media"))
        assert not await caller.wait_for(lambda event: isinstance(event, TurnDone), 5)
        assert not caller.open
    assert not agent.of("stop")
    assert len(agent.of("media")) <= frames + 2, "what was on its way may still arrive"


async def test_silence_from_before_a_piece_does_not_end_it() -> None:
    """The caller spoke over an answer and waited long: the next one is not over before it has begun."""
    late = [event("agent", turn=2, piece=0, text="Nine.", kind="reply", audio_ms=300)]
    agent = Agent(GREETING, [[*reply(1, 400)], late])
    async with listening(agent) as url, Caller.dial(url, line()) as caller:
        await caller.agent_done(5)
        await caller.say(QUESTION.pcm)
        await caller.until(lambda: caller.tape.last_agent_loud > len(caller.tape) - 2, 5)
        await caller.say(np.concatenate([np.zeros(8 * 3_000, np.int16), QUESTION.pcm]))
        await caller.wait_for(lambda one: isinstance(one, AgentPiece) and one.turn == 2, 5)
        assert caller.quiet_s > 2.4
        assert not caller.agent_is_done

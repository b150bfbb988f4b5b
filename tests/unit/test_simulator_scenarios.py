"""The scenarios of `parley bench`: scripts that stay the same, analyses of tapes that are known."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.scenario_report import SCENARIOS, render_scenario, tries
from engine.simulator.analysis import TurnResult, Utterance
from engine.simulator.caller import Caller, Clock, Line
from engine.simulator.carrier import CallIdentity, Cleared, Received
from engine.simulator.conversation import ConversationResult, Script, Spoken, run_conversation
from engine.simulator.events import AgentPiece, Heard, UserTurn
from engine.simulator.pause import insert_pause, quiet_point, speech_bounds
from engine.simulator.scenarios import overlap
from engine.simulator.scenarios.backchannel import Backchannel, BackchannelScenario, sound_over
from engine.simulator.scenarios.barge_in import BargeIn, BargeInScenario, interruption
from engine.simulator.scenarios.base import Plan, deal, rounds_for
from engine.simulator.scenarios.pauses import PAUSES_MS, Halting, PausesScenario, utterance
from engine.simulator.scenarios.speak_over import Ear, Moment, SpeakOver
from engine.simulator.tape import Said, Tape
from tests.unit.simulator_agent import Agent, event, listening, reply, tone
from tests.unit.test_simulator_analysis import piece, received, tape

QUESTION = Utterance("q", tone(200), "When?")
OVER = Utterance("over", tone(200), "And on Sundays?")
SOON = Moment(point=0.3, least_ms=500, spare_ms=100)
STEP = SpeakOver((QUESTION,), OVER, SOON, asks=True)
FAST = Clock(speed=20)


def said(made: Tape, start: int, end: int) -> Said:
    return Said(start, end, max(n for n in range(start, end) if made[n].caller_loud))


def result(
    made: Tape, spoken: Sequence[Spoken], events: Sequence[Received] = (), clears: Sequence[float] = ()
) -> ConversationResult:
    """A call of that tape; `clears` are ticks."""
    turns = [TurnResult(n, one.utterance.id, "", 400.0) for n, one in enumerate(spoken) if one.asks]
    found = ConversationResult(CallIdentity(), 0.0, made, turns, [*events], [])
    found.spoken = [*spoken]
    found.cleared = [Cleared(0, 0, tick * 0.02) for tick in clears]
    return found


# A pause within a sentence


@given(
    st.lists(st.integers(-30_000, 30_000), min_size=1, max_size=2_000),
    st.floats(0, 1),
    st.sampled_from(PAUSES_MS),
)
def test_a_pause_keeps_every_sample_and_is_as_long_as_asked(
    samples: list[int], fraction: float, pause_ms: int
) -> None:
    pcm = np.array(samples, np.int16)
    at = quiet_point(pcm, fraction)
    paused = insert_pause(pcm, at, pause_ms)
    gap = 8 * pause_ms
    assert len(paused) == len(pcm) + gap
    assert paused[:at].tolist() == samples[:at]
    assert paused[at + gap :].tolist() == samples[at:]
    assert not paused[at + 40 : at + gap - 40].any()


def test_a_pause_does_not_click() -> None:
    pcm = tone(400, hz=100)
    for at in (1_234, 1_600, 1_620):
        steps = np.abs(np.diff(insert_pause(pcm, at, 300).astype(np.int32)))
        assert steps.max() <= np.abs(np.diff(pcm.astype(np.int32))).max()


def test_the_cut_is_at_the_quietest_point_near_the_fraction() -> None:
    pcm = np.concatenate([np.zeros(800, np.int16), tone(500), np.zeros(240, np.int16), tone(500)])
    assert speech_bounds(pcm) == (800, len(pcm))
    gap = range(800 + 4_000, 800 + 4_240)
    assert quiet_point(pcm, 0.5) in gap
    assert quiet_point(pcm, 0.42) in gap
    assert quiet_point(pcm, 0.1) not in gap
    assert quiet_point(np.zeros(0, np.int16), 0.5) == 0


# Who spoke over whom


def test_an_agent_has_stopped_when_it_was_silent_for_300_ms() -> None:
    made = tape("." * 60, "#####" + "." * 14 + "###" + "." * 15 + "####")
    assert overlap.stopped_at(made, 2, 60) == 21
    assert overlap.stopped_at(made, 2, 10) == 4, "the caller's words were over before"
    assert overlap.stopped_at(made, 30, 60) == 40
    assert overlap.stopped_at(made, 41, 60) is None
    assert overlap.stopped_at(tape("." * 60, "." * 30 + "###"), 2, 60) is None


def test_silence_counts_between_loud_frames_around_the_sound() -> None:
    made = tape("." * 80, "##..##" + "." * 20 + "##" + "." * 30 + "##")
    assert overlap.longest_silence_ms(made, 5, 20, 80) == 400
    assert overlap.longest_silence_ms(made, 10, 20, 80) == 400, "it had begun before the sound"
    assert overlap.longest_silence_ms(made, 5, 28, 80) == 600
    assert overlap.longest_silence_ms(made, 5, 28, 50) == 400, "the caller spoke again at 50"
    assert overlap.longest_silence_ms(made, 60, 70, 80) is None
    assert overlap.longest_silence_ms(made, 4, 5, 6) == 0 + 40


def test_the_rest_of_an_earlier_answer_is_not_talking_over() -> None:
    made = tape("." * 40, "###..##" + "." * 9 + "###")
    assert overlap.talked_over(made, 3, 39) == [16, 17, 18]
    assert overlap.talked_over(made, 3, 17) == [16, 17]
    assert overlap.talked_over(tape("." * 9, "...###"), 0, 8) == [3, 4, 5]


def test_the_agent_is_speaking_between_two_words() -> None:
    made = tape("." * 60, "#####......####")
    assert [overlap.was_speaking(made, n) for n in (0, 3, 7, 11, 15, 20)] == [
        False,
        True,
        True,
        True,
        False,
        False,
    ]


# The scenarios


def barge(agent: str, clears: Sequence[float], events: Sequence[Received] = ()) -> BargeIn:
    made = tape("##......" + ".." + "########" + "." * 60, agent)
    spoken = [Spoken(QUESTION, said(made, 0, 2)), Spoken(OVER, said(made, 8, 18), STEP)]
    call = result(made, spoken, events, clears)
    return interruption(call, spoken[1], call.turns[1], "q")


def test_barge_in_to_silence_is_from_the_first_loud_frame_to_the_last_of_the_agent() -> None:
    row = barge("....########............................####", clears=[12])
    assert (row.outcome, row.silent_ms, row.spoke_again_ms) == ("stopped", 20, 0)
    assert (row.id, row.question, row.point, row.answered, row.right) == ("over", "q", 0.3, True, None)


@pytest.mark.parametrize(
    ("agent", "clears", "outcome"),
    [
        ("....########", [], "played on"),  # nothing was thrown away: the answer was over anyway
        ("....##################", [21], "played on"),  # longer than the interruption
        ("..##......................####", [12], "in a pause"),
        ("", [], "in a pause"),
    ],
)
def test_an_agent_that_did_not_stop_is_told_from_one_that_did(
    agent: str, clears: Sequence[float], outcome: str
) -> None:
    assert barge(agent, clears).outcome == outcome


def test_figures_of_barge_in() -> None:
    rows = [barge("....########", [12]), barge("....#########", [13]), barge("", [])]
    figures = BargeInScenario().figures(rows)
    assert figures["barge_in_to_silence_ms"] == {"n": 2, "p50": 20, "p95": 40, "p99": 40, "max": 40}
    assert (figures["stopped"], figures["in a pause"], figures["judged"]) == (2, 1, 0)


def sound(agent: str, events: Sequence[Received], clears: Sequence[float] = ()) -> Backchannel:
    made = tape("##......" + "##" + "." * 90, agent)
    step = SpeakOver((QUESTION,), OVER, SOON, asks=False)
    spoken = [Spoken(QUESTION, said(made, 0, 2)), Spoken(OVER, said(made, 8, 10), step, asks=False)]
    return sound_over(result(made, spoken, events, clears), spoken[1], "q", len(made))


ANNOUNCED = received(3, 0, piece(1, ms=800))
WHOLE, CUT = received(60, 40, Heard(1, "reply.")), received(20, 40, Heard(1, "rep", interrupted=True))


def test_a_resumed_answer_is_heard_to_its_end_and_its_stop_is_measured() -> None:
    row = sound("....########" + "." * 20 + "#####", [ANNOUNCED, WHOLE], [11])
    assert (row.was_over, row.held, row.resumed, row.stop_ms) == (True, True, True, 400)


@pytest.mark.parametrize(
    "events", [[ANNOUNCED], [ANNOUNCED, CUT], [ANNOUNCED, received(60, 9, Heard(2, "x"))]]
)
def test_an_answer_that_was_dropped_or_never_ended_is_not_resumed(events: Sequence[Received]) -> None:
    assert not sound("....########" + "." * 20 + "#####", events, [11]).resumed


def test_what_was_taken_for_a_turn_is_told() -> None:
    turn = received(20, 40, UserTurn(2, "My hands."))
    assert sound("....########", [ANNOUNCED, CUT, turn], [11]).heard_as == "My hands."


def test_without_events_an_agent_that_is_heard_again_has_resumed() -> None:
    assert sound("....########" + "." * 20 + "#" * 25, [], [11]).resumed
    assert not sound("....########", [], [11]).resumed


def test_a_sound_after_the_answer_counts_for_nothing() -> None:
    late, over = sound("...###", [ANNOUNCED, WHOLE]), sound("....####" + "#" * 20, [ANNOUNCED, WHOLE])
    assert not late.was_over
    figures = BackchannelScenario().figures([late, over])
    assert (figures["sounds"], figures["over"], figures["resumed"]) == (2, 1, 1)
    assert figures["recordings"]["over"]["stops_ms"]["max"] == 0


def test_talking_over_an_utterance_counts_from_its_first_to_its_last_loud_frame() -> None:
    made = tape(".###....###" + "." * 20, "......###      ####")
    step = Halting(QUESTION, 300, 0.5)
    spoken = Spoken(QUESTION, said(made, 0, 12), step)
    call = result(made, [spoken])
    row = utterance(call, spoken, call.turns[0])
    assert (row.talked_over, row.talk_over_ms, row.pause_ms, row.answered) == (True, 60, 300, True)
    figures = PausesScenario().figures([row])
    assert (figures["talked_over"], figures["pauses"]["300"]["utterances"]) == (1, 1)


def steps(scripts: Sequence[Script]) -> list[object]:
    return list(chain.from_iterable(scripts))


@pytest.mark.parametrize("name", ["barge-in", "backchannel", "pauses"])
@pytest.mark.parametrize("calls", [1, 8])
def test_a_script_is_long_enough_and_the_same_every_time(name: str, calls: int) -> None:
    scenario = SCENARIOS[name]
    plan = Plan(calls, scenario.rounds(calls), "heldout", seed=3)
    scripts = scenario.scripts(plan)
    assert [len(script) for script in scripts] == [plan.rounds] * calls
    assert sum(map(len, scripts)) >= (35 if name == "pauses" else 24)
    assert [describe(one) for one in steps(scripts)] == [
        describe(one) for one in steps(scenario.scripts(plan))
    ]
    other = scenario.scripts(Plan(calls, plan.rounds, "heldout", seed=4))
    assert [describe(one) for one in steps(scripts)] != [describe(one) for one in steps(other)]


def describe(step: object) -> object:
    if isinstance(step, SpeakOver):
        return [one.id for one in step.questions], step.over.id, step.moment
    assert isinstance(step, Halting)
    return step.question.id, step.pause_ms, step.fraction


def test_points_are_spread_over_the_answers() -> None:
    script = steps(BargeInScenario().scripts(Plan(2, 10, "heldout")))
    points = sorted(one.moment.point for one in script if isinstance(one, SpeakOver))
    assert points == pytest.approx([(n + 0.5) / 20 for n in range(20)])
    for one in script:
        assert isinstance(one, SpeakOver)
        assert all(question.expected != one.over.expected for question in one.questions)


def test_a_third_of_the_pauses_is_in_the_middle_and_all_lengths_come_as_often() -> None:
    script = steps(PausesScenario().scripts(Plan(1, 30, "heldout")))
    halting = [one for one in script if isinstance(one, Halting)]
    assert sum(one.fraction == 0.5 for one in halting) >= 10
    assert all(0.35 <= one.fraction <= 0.75 for one in halting)
    assert set(Counter(one.pause_ms for one in halting).values()) == {6}
    assert len({one.question.id for one in halting}) == 30


def test_backchannels_have_several_voices() -> None:
    script = steps(BackchannelScenario().scripts(Plan(1, 20, "heldout")))
    assert len({one.over.id for one in script if isinstance(one, SpeakOver)}) >= 9


def test_cards_come_again_only_when_all_were_dealt() -> None:
    dealt = deal("abc", 7, random.Random(1))
    assert sorted(dealt[:3]) == sorted(dealt[3:6]) == list("abc")
    assert deal("", 3, random.Random(1)) == []
    assert [rounds_for(20, calls, 3) for calls in (1, 8, 100)] == [20, 3, 3]


# With a live caller


async def test_a_caller_speaks_over_the_answer_and_waits_for_what_follows() -> None:
    long = [event("user", turn=1, text="q"), *reply(1, 3_000)]
    stopping = [
        {"event": "clear"},
        event("heard", turn=1, text="Ei", interrupted=True),
        *reply(2, 300),
        event("turn", turn=2, kind="reply", stamps={}),
    ]
    agent = Agent(reply(0, 100, "Hello.", "greeting"), [long, stopping])
    async with listening(agent) as url:
        call = await run_conversation(url, [STEP], line=Line(clock=FAST))
    assert [one.utterance.id for one in call.spoken] == ["q", "over"]
    assert call.spoken[1].step is STEP
    (row,) = BargeInScenario().rows(call)
    assert isinstance(row, BargeIn)
    assert row.answered
    assert call.turns[0].answered


async def test_an_answer_that_is_too_short_is_heard_out_and_the_next_question_asked() -> None:
    done = [event("turn", turn=n, kind="reply", stamps={}) for n in (1, 2)]
    agent = Agent(reply(0, 100, "Hello.", "greeting"), [[*reply(1, 200), done[0]], [*reply(2, 200), done[1]]])
    step = SpeakOver((QUESTION, QUESTION), OVER, SOON, asks=True)
    async with listening(agent) as url:
        call = await run_conversation(url, [step], line=Line(clock=FAST))
    assert [one.utterance.id for one in call.spoken] == ["q", "q"]
    assert BargeInScenario().rows(call) == []
    assert [turn.answered for turn in call.turns] == [True, True]


async def test_a_backchannel_over_an_answer_that_goes_on() -> None:
    agent = Agent(
        reply(0, 100, "Hello.", "greeting"), [[*reply(1, 2_000), event("heard", turn=1, text="Eight.")]]
    )
    step = SpeakOver((QUESTION,), OVER, SOON, asks=False)
    async with listening(agent) as url:
        call = await run_conversation(url, [step], line=Line(clock=FAST))
    assert [one.asks for one in call.spoken] == [True, False]
    assert len(call.turns) == 1


async def test_what_is_still_told_of_an_earlier_answer_is_none_of_the_next() -> None:
    first, second = (
        reply(1, 2_000),
        [event("agent", turn=1, piece=1, text="Late.", kind="reply", audio_ms=9_000)],
    )
    agent = Agent(reply(0, 100, "Hello.", "greeting"), [first, [{"event": "clear"}, *second, *reply(2, 600)]])
    async with listening(agent) as url, Caller.dial(url, Line(clock=FAST)) as caller:
        await caller.agent_done(5)
        await caller.say(QUESTION.pcm)
        await caller.wait_for(lambda one: isinstance(one, AgentPiece) and one.turn == 1, 5)
        ear = Ear(caller)
        await caller.say(QUESTION.pcm)
        ear.listen()
        assert await caller.until(lambda: ear.reaches(Moment(0.9, least_ms=500, spare_ms=0)), 5)


def test_every_scenario_is_rendered() -> None:
    made = tape("##......" + ".." + "########" + "." * 60, "....########" + " " * 20 + "####")
    over = SpeakOver((QUESTION,), OVER, SOON, asks=False)
    asked, halting = Spoken(QUESTION, said(made, 0, 2)), Halting(QUESTION, 300, 0.5)
    calls = {
        "barge-in": result(made, [asked, Spoken(OVER, said(made, 8, 18), STEP)]),
        "backchannel": result(made, [asked, Spoken(OVER, said(made, 8, 18), over, asks=False)], clears=[12]),
        "pauses": result(made, [Spoken(QUESTION, said(made, 0, 18), halting)]),
    }
    texts = {
        name: "\n".join(render_scenario(json.loads(json.dumps(tries(SCENARIOS[name], [call])))))
        for name, call in calls.items()
    }
    assert "played on: over at 0.30 of the answer to q" in texts["barge-in"]
    assert "And on Sundays?" in texts["backchannel"]
    assert "talked over 1 of 1 utterances" in texts["pauses"]
    assert all("not measured: without in-band events" in text for text in texts.values())
    assert tries(SCENARIOS["questions"], [calls["pauses"]]) == {}
    assert render_scenario({}) == []

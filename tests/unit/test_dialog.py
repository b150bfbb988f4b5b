"""The rules of turn-taking, one test a rule, on a virtual clock."""

from __future__ import annotations

import pytest

from engine.dialog import commands as cmd
from engine.dialog import events as ev
from engine.dialog.core import Dialog
from engine.dialog.recovery import move_to_new_edge, recover
from engine.dialog.table import RULES, TABLE, Phase
from engine.providers.base import ChatDelta, Passage, Transcript
from models import AgentConfig, CallEvent, TurnTaking
from tests.unit.dialog_bench import AGENT, BAD, GOOD, SECOND, Bench

UNSURE_S = AGENT.turn_taking.unsure_ms / 1000 - 0.144
"""What is left of that wait when a pause is seen."""


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.greet()
    return bench


def test_every_row_of_the_table_has_a_handler_and_no_two_rows_contradict() -> None:
    assert len(TABLE) == sum(len(rule.phases) for rule in RULES)
    assert all(callable(getattr(Dialog, rule.handler)) for rule in RULES)


def test_the_greeting_is_said_first_and_then_the_agent_listens() -> None:
    bench = Bench()
    bench.feed(ev.Started())
    assert bench.last(cmd.Synthesise).phrase, "fixed phrases may come from the cache"
    bench.speak_all()
    bench.expect(Phase.SPEAKING)
    bench.finish_all()
    bench.expect(Phase.LISTENING)
    assert bench.played_text() == [AGENT.phrases.greeting]


def test_the_answer_is_prepared_in_the_pause_and_heard_only_when_the_turn_is_over(bench: Bench) -> None:
    bench.say("When do you open?")
    bench.know()
    bench.generate("We open at nine.")
    bench.speak_all()
    bench.expect(Phase.PAUSED)
    assert len(bench.all(cmd.Play)) == 1, "only the greeting"
    bench.sleep(0.1)
    bench.expect(Phase.SPEAKING)
    assert bench.played_text()[1:] == ["We open at nine."]


def test_nothing_is_played_before_it_stands_in_the_journal(bench: Bench) -> None:
    bench.ask("When do you open?", "We open at nine.")
    play = bench.log.index(bench.last(cmd.Play))
    before = [c.kind for c in bench.log[:play] if isinstance(c, cmd.Append)]
    assert before[-2:] == ["turn_ended", "reply_released"]


def test_a_caller_who_goes_on_cancels_the_attempt_and_is_transcribed_as_one(bench: Bench) -> None:
    bench.say("When do you")
    first = bench.last(cmd.Transcribe).attempt
    bench.feed(ev.CallerSpoke(12 * SECOND))
    assert bench.all(cmd.CancelAttempt)[-1].attempt == first
    assert not bench.all(cmd.EndUtterance), "the audio so far is kept"
    bench.now += 0.5
    bench.pause("When do you open on Mondays?", at=13 * SECOND)
    bench.know()
    bench.generate("At nine.")
    bench.speak_all()
    bench.sleep(0.2)
    assert [data["text"] for data in bench.appended("turn_ended")] == ["When do you open on Mondays?"]


def test_results_of_a_cancelled_attempt_change_nothing(bench: Bench) -> None:
    bench.say("When do you")
    stale = bench.last(cmd.Retrieve).attempt
    bench.feed(ev.CallerSpoke(12 * SECOND))
    assert bench.feed(ev.Retrieved(stale, (GOOD,))) == []


@pytest.mark.parametrize(
    "text", ["My number is 5 5 5", "I would like to", "It is spelled B R O", "I live at, um,"]
)
def test_words_that_promise_more_make_the_agent_patient(bench: Bench, text: str) -> None:
    bench.say(text, probability=0.99)
    bench.sleep(0.9)
    bench.expect(Phase.PAUSED)
    bench.sleep(0.4)
    bench.expect(Phase.THINKING)


@pytest.mark.parametrize(("intonation", "words"), [(0.05, 0.5), (0.9, 0.03)])
def test_who_sounds_unfinished_to_one_model_is_given_a_moment(
    bench: Bench, intonation: float, words: float
) -> None:
    bench.say("What time do you open?", probability=intonation, words=words)
    bench.sleep(UNSURE_S - 0.05)
    bench.expect(Phase.PAUSED)
    bench.sleep(0.1)
    bench.expect(Phase.THINKING)


def test_who_sounds_unfinished_to_both_models_is_waited_for(bench: Bench) -> None:
    bench.say("What time do you open?", probability=0.05, words=0.02)
    bench.sleep(1.0)
    bench.expect(Phase.PAUSED)
    bench.sleep(0.1)
    bench.expect(Phase.THINKING)


def test_a_statement_may_lead_up_to_a_question(bench: Bench) -> None:
    bench.say("I have a bad toothache.", probability=0.99, words=0.9)
    bench.sleep(UNSURE_S - 0.05)
    bench.expect(Phase.PAUSED)
    bench.sleep(0.1)
    bench.expect(Phase.THINKING)


def test_a_turn_taken_too_early_is_given_back_while_nothing_was_heard(bench: Bench) -> None:
    bench.say("When do you open")
    bench.sleep(0.2)
    bench.expect(Phase.THINKING)
    bench.feed(ev.CallerSpoke(12 * SECOND))
    bench.expect(Phase.HEARING)
    bench.pause("When do you open on Mondays?", at=13 * SECOND)
    bench.sleep(0.2)
    turns = bench.appended("turn_ended")
    assert [data["turn"] for data in turns] == [1, 1], "the same turn, said in full"
    assert len(bench.dialog.history) == 1


def test_the_reply_is_said_clause_by_clause_while_it_is_generated(bench: Bench) -> None:
    bench.say("When do you open?")
    bench.know()
    bench.sleep(0.2)
    bench.generate("We open at nine on weekdays. On Saturdays we ", finish=False)
    bench.speak_all()
    bench.expect(Phase.SPEAKING)
    assert len(bench.all(cmd.Play)) == 2
    bench.generate("open at ten.")
    bench.speak_all()
    bench.finish_all()
    bench.expect(Phase.LISTENING)
    assert bench.appended("heard")[-1]["text"] == "We open at nine on weekdays. On Saturdays we open at ten."


def test_before_the_turn_is_over_only_the_first_clause_is_spoken(bench: Bench) -> None:
    bench.say("When do you open?")
    bench.know()
    bench.generate("We open at nine on weekdays. On Saturdays we open at ten. On Sundays we are closed.")
    bench.speak_all()
    assert len(bench.all(cmd.Synthesise)) == 2, "the greeting and one clause"
    bench.sleep(0.2)
    bench.speak_all()
    assert len(bench.all(cmd.Synthesise)) == 4


def test_what_the_knowledge_does_not_say_is_not_answered(bench: Bench) -> None:
    bench.say("Do you sell bulbs?")
    bench.know(BAD)
    bench.speak_all()
    bench.sleep(0.2)
    assert bench.played_text()[-1] == AGENT.phrases.greeting, "half a question is looked up in vain too"
    bench.sleep(UNSURE_S)
    assert not bench.all(cmd.Generate)
    assert bench.played_text()[-1] == AGENT.phrases.unknown


def test_goodbye_is_played_out_before_hanging_up(bench: Bench) -> None:
    bench.say("Thank you, goodbye.")
    bench.speak_all()
    bench.sleep(0.3)
    assert bench.played_text()[-1] == AGENT.phrases.closing
    assert not bench.all(cmd.HangUp)
    bench.finish_all()
    bench.expect(Phase.ENDED)
    assert bench.log[-1] == bench.last(cmd.HangUp)


def test_no_after_the_offer_of_more_is_a_goodbye(bench: Bench) -> None:
    bench.say("Thank you.")
    bench.speak_all()
    bench.sleep(0.3)
    bench.finish_all()
    assert bench.played_text()[-1] == AGENT.phrases.welcome
    bench.say("No.", at=20 * SECOND)
    bench.speak_all()
    bench.sleep(1.3)
    assert bench.played_text()[-1] == AGENT.phrases.closing


def test_noise_is_forgotten(bench: Bench) -> None:
    bench.say("")
    bench.expect(Phase.LISTENING)
    assert bench.all(cmd.EndUtterance)
    assert not bench.appended("turn_ended")


class TestUnbroken:
    """A television, music on hold: sound in which the edge finds no pause."""

    def hear(self, bench: Bench, seconds: float, text: str) -> None:
        bench.sleep(seconds)
        attempt = bench.last(cmd.Transcribe).attempt
        bench.feed(ev.Transcribed(attempt, Transcript(text)))
        bench.feed(ev.Scored(attempt, 0.95))
        bench.feed(ev.WordsScored(attempt, 0.9))

    def test_it_is_heard_as_if_the_caller_had_paused_and_answered_aloud(self, bench: Bench) -> None:
        bench.feed(ev.CallerSpoke(10 * SECOND))
        bench.sleep(29.9)
        assert not bench.all(cmd.Transcribe)
        self.hear(bench, 0.2, "When do you open?")
        bench.know()
        bench.sleep(0.3)
        turn = bench.appended("turn_ended")[-1]
        assert turn["text"] == "When do you open?"
        assert turn["through"] == 40 * SECOND
        bench.sleep(3)
        assert AGENT.phrases.filler not in [c.text for c in bench.all(cmd.Synthesise)], "it would be held"
        bench.generate("At nine.")
        bench.speak_all()
        bench.expect(Phase.SPEAKING)
        assert not bench.last(cmd.Play).interruptible, "the edge would hold it for ever"
        bench.finish_all()
        bench.expect(Phase.HEARING)

    def test_when_it_ends_meanwhile_the_answer_is_as_any_other(self, bench: Bench) -> None:
        bench.feed(ev.CallerSpoke(10 * SECOND))
        self.hear(bench, 30, "When do you open?")
        bench.know()
        bench.feed(ev.CallerPaused(40 * SECOND, 64.0))
        bench.generate("At nine.")
        bench.speak_all()
        bench.sleep(0.3)
        bench.expect(Phase.SPEAKING)
        assert bench.last(cmd.Play).interruptible

    @pytest.mark.parametrize("committed", [False, True])
    def test_what_is_said_until_it_ends_is_of_the_same_turn(self, bench: Bench, committed: bool) -> None:
        bench.feed(ev.CallerSpoke(10 * SECOND))
        self.hear(bench, 30, "When do you open?")
        bench.know()
        bench.sleep(0.3 if committed else 0.05)
        bench.expect(Phase.THINKING if committed else Phase.PAUSED)
        bench.now += 0.7
        bench.pause("When do you open on Sundays?", at=41 * SECOND)
        bench.know()
        bench.generate("At ten.")
        bench.speak_all()
        bench.sleep(0.3)
        bench.expect(Phase.SPEAKING)
        turns = bench.appended("turn_ended")
        assert (turns[-1]["text"], turns[-1]["turn"]) == ("When do you open on Sundays?", 1)

    def test_noise_without_words_is_told_the_caller(self, bench: Bench) -> None:
        bench.feed(ev.CallerSpoke(10 * SECOND))
        for _ in range(3):
            bench.expect(Phase.HEARING)
            self.hear(bench, 30, "")
        bench.speak_all()
        assert bench.played_text()[-1] == AGENT.phrases.not_heard
        assert not bench.last(cmd.Play).interruptible

    def test_keys_in_it_are_a_turn_that_is_answered_aloud(self, bench: Bench) -> None:
        bench.feed(ev.CallerSpoke(10 * SECOND))
        for digit in "42#":
            bench.feed(ev.DigitPressed(digit))
        self.hear(bench, 30, "")
        assert bench.appended("turn_ended")[-1]["text"] == "4 2"
        assert bench.all(cmd.EndUtterance)
        bench.know()
        bench.generate("Thank you.")
        bench.speak_all()
        bench.expect(Phase.SPEAKING)


def test_after_three_utterances_without_a_word_the_agent_asks_again(bench: Bench) -> None:
    for n in range(3):
        bench.say("", at=(10 + 2 * n) * SECOND)
    bench.speak_all()
    assert bench.played_text()[-1] == AGENT.phrases.not_heard


class TestInterruption:
    @pytest.fixture
    def speaking(self, bench: Bench) -> Bench:
        bench.ask("When do you open?", "We open at nine on weekdays and at ten on Saturdays.")
        bench.feed(ev.CallerSpoke(20 * SECOND))
        piece = bench.last(cmd.Play).piece
        bench.feed(ev.PlayoutHeld((ev.PieceHeard(piece, 4_000, SECOND),)))
        bench.expect(Phase.INTERRUPTED)
        return bench

    @pytest.mark.parametrize("sound", ["", "Mm-hmm.", "Yeah.", "Okay, okay."])
    def test_a_cough_or_a_backchannel_lets_the_agent_go_on(self, speaking: Bench, sound: str) -> None:
        speaking.pause(sound, at=21 * SECOND)
        speaking.expect(Phase.SPEAKING)
        assert speaking.all(cmd.ResumePlayout)
        assert not speaking.all(cmd.FlushPlayout)

    def end_under(self, bench: Bench, unheard: int) -> None:
        """The caller begins to speak when so many samples of what the agent says are not heard."""
        piece = bench.last(cmd.Play).piece
        bench.feed(ev.CallerSpoke(20 * SECOND))
        if not unheard:
            bench.feed(ev.PieceFinished(piece))
        held = (ev.PieceHeard(piece, SECOND - unheard, SECOND),) if unheard else ()
        bench.feed(ev.PlayoutHeld(held))

    @pytest.mark.parametrize("unheard", [0, 1_599])
    def test_a_yes_as_the_agent_ends_is_an_answer(self, bench: Bench, unheard: int) -> None:
        bench.ask("I need an appointment.", "Would you like to come on Monday?")
        bench.sleep(UNSURE_S)
        self.end_under(bench, unheard)
        bench.pause("Yes.", at=21 * SECOND)
        bench.sleep(1.2)
        assert [data["text"] for data in bench.appended("turn_ended")] == ["I need an appointment.", "Yes."]
        assert bench.appended("heard")[-1]["interrupted"] is bool(unheard)

    def test_a_yes_before_the_end_is_a_listener_s(self, bench: Bench) -> None:
        bench.ask("When do you open?", "Would you like to come on Monday?")
        self.end_under(bench, 1_600)
        bench.pause("Yes.", at=21 * SECOND)
        bench.expect(Phase.SPEAKING)

    def test_a_cough_as_the_agent_ends_is_forgotten(self, bench: Bench) -> None:
        bench.ask("When do you open?", "Would you like to come on Monday?")
        self.end_under(bench, 0)
        bench.pause("", at=21 * SECOND)
        bench.expect(Phase.LISTENING)

    def test_an_okay_as_a_goodbye_ends_does_not_keep_the_line_open(self) -> None:
        bench = Bench(AGENT.model_copy(update={"turn_taking": TurnTaking(closing_interruptible=True)}))
        bench.greet()
        bench.say("Goodbye.")
        bench.speak_all()
        bench.sleep(0.3)
        self.end_under(bench, 0)
        bench.pause("Okay.", at=21 * SECOND)
        bench.expect(Phase.ENDED)

    def heard_as(self, bench: Bench, text: str, avg_logprob: float) -> None:
        bench.now += 0.144
        bench.feed(ev.CallerPaused(21 * SECOND, 144.0))
        attempt = bench.last(cmd.Transcribe).attempt
        bench.feed(ev.Transcribed(attempt, Transcript(text, avg_logprob=avg_logprob)))

    def test_a_sound_of_which_words_were_made_lets_the_agent_go_on(self, speaking: Bench) -> None:
        self.heard_as(speaking, "Ma'am", -1.0)
        speaking.expect(Phase.SPEAKING)

    @pytest.mark.parametrize(
        ("text", "avg_logprob"), [("Tomorrow.", -0.4), ("pardon me", -0.9), ("How much is a check up", -0.9)]
    )
    def test_what_was_really_said_takes_the_floor(
        self, speaking: Bench, text: str, avg_logprob: float
    ) -> None:
        self.heard_as(speaking, text, avg_logprob)
        assert speaking.all(cmd.FlushPlayout)

    def test_sound_that_does_not_pause_takes_the_floor(self, speaking: Bench) -> None:
        speaking.sleep(3.9)
        speaking.expect(Phase.INTERRUPTED)
        speaking.sleep(0.2)
        speaking.expect(Phase.HEARING)
        assert speaking.all(cmd.FlushPlayout)
        assert speaking.appended("heard")[-1]["interrupted"] is True
        speaking.pause("And on Sundays, are you open then?", at=26 * SECOND)
        assert speaking.last(cmd.Transcribe)
        speaking.sleep(0.3)
        assert speaking.appended("turn_ended")[-1]["text"] == "And on Sundays, are you open then?"

    def test_a_pause_over_the_agent_is_waited_out_and_who_goes_on_has_as_long_again(
        self, speaking: Bench
    ) -> None:
        speaking.sleep(3)
        speaking.feed(ev.CallerPaused(23 * SECOND, 144.0))
        speaking.sleep(3)
        speaking.expect(Phase.INTERRUPTED)
        speaking.feed(ev.CallerSpoke(26 * SECOND))
        speaking.sleep(3.9)
        speaking.expect(Phase.INTERRUPTED)
        speaking.sleep(0.2)
        speaking.expect(Phase.HEARING)

    def test_noise_over_an_answer_of_which_nothing_was_heard_does_not_lose_the_question(
        self, bench: Bench
    ) -> None:
        bench.ask("When do you open?", "We open at nine on weekdays and at ten on Saturdays.")
        bench.feed(ev.CallerSpoke(20 * SECOND))
        bench.feed(ev.PlayoutHeld((ev.PieceHeard(bench.last(cmd.Play).piece, 0, SECOND),)))
        bench.sleep(5)
        bench.pause("", at=25 * SECOND)
        assert len(bench.all(cmd.Retrieve)) == 2
        assert bench.last(cmd.Retrieve).query == "When do you open?"

    def test_a_real_turn_drops_the_rest_and_is_answered(self, speaking: Bench) -> None:
        speaking.pause("And on Sundays, are you open then?", at=21 * SECOND)
        assert speaking.all(cmd.FlushPlayout)
        speaking.know()
        speaking.generate("We are closed on Sundays.")
        speaking.speak_all()
        speaking.sleep(0.3)
        assert speaking.played_text()[-1] == "We are closed on Sundays."

    def go_on(self, bench: Bench, heard: int) -> None:
        """The caller goes on with a question when so many samples of the answer were heard."""
        bench.ask("When do you open?", "We open at nine on weekdays and at ten on Saturdays.")
        bench.feed(ev.CallerSpoke(20 * SECOND))
        bench.feed(ev.PlayoutHeld((ev.PieceHeard(bench.last(cmd.Play).piece, heard, SECOND),)))
        bench.pause("In the week of Easter?", at=21 * SECOND)

    def test_who_goes_on_before_anything_of_the_answer_was_heard_is_in_the_same_turn(
        self, bench: Bench
    ) -> None:
        self.go_on(bench, heard=900)
        whole = "When do you open? In the week of Easter?"
        assert bench.last(cmd.Retrieve).query == whole
        assert bench.all(cmd.FlushPlayout)
        assert bench.dialog.history == []
        bench.know()
        bench.generate("At ten.")
        bench.speak_all()
        bench.sleep(0.3)
        assert [(entry["turn"], entry["text"]) for entry in bench.appended("turn_ended")] == [
            (1, "When do you open?"),
            (1, whole),
        ]
        bench.finish_all()
        assert [(one.caller, one.agent) for one in bench.dialog.history] == [(whole, "At ten.")]

    def test_a_turn_that_went_on_and_goes_on_again_keeps_its_first_words(self, bench: Bench) -> None:
        self.go_on(bench, heard=0)
        bench.sleep(0.2)
        bench.expect(Phase.THINKING)
        bench.feed(ev.CallerSpoke(22 * SECOND))
        bench.pause("In the week of Easter? On Monday?", at=23 * SECOND)
        assert bench.last(cmd.Retrieve).query == "When do you open? In the week of Easter? On Monday?"
        bench.know()
        bench.generate("At ten.")
        bench.speak_all()
        bench.sleep(0.3)
        bench.finish_all()
        bench.say("Do you have parking?", at=30 * SECOND)
        assert bench.last(cmd.ScoreWords).text == "Do you have parking?", "the next turn has none of them"

    def test_keys_are_a_turn_of_their_own_also_where_nothing_of_the_answer_was_heard(
        self, bench: Bench
    ) -> None:
        bench.ask("When do you open?", "We open at nine.")
        bench.feed(ev.CallerSpoke(20 * SECOND))
        bench.feed(ev.PlayoutHeld((ev.PieceHeard(bench.last(cmd.Play).piece, 0, SECOND),)))
        for digit in "42#":
            bench.feed(ev.DigitPressed(digit))
        bench.pause("My number is", at=21 * SECOND)
        assert [(entry["turn"], entry["text"]) for entry in bench.appended("turn_ended")] == [
            (1, "When do you open?"),
            (2, "My number is 4 2"),
        ]

    @pytest.mark.parametrize("heard", [1_599, 1_600])
    def test_an_answer_of_which_a_word_or_a_moment_was_heard_ended_the_turn(
        self, bench: Bench, heard: int
    ) -> None:
        self.go_on(bench, heard)
        assert bench.last(cmd.Retrieve).query != "When do you open? In the week of Easter?"
        assert [one.caller for one in bench.dialog.history] == ["When do you open?"]

    def test_only_words_that_were_heard_are_history(self, speaking: Bench) -> None:
        speaking.pause("And on Sundays, are you open then?", at=21 * SECOND)
        heard = speaking.appended("heard")[-1]
        full = "We open at nine on weekdays and at ten on Saturdays."
        assert heard["interrupted"] is True
        text = str(heard["text"])
        assert 0 < len(text) < len(full)
        assert full.startswith(text)
        assert speaking.dialog.history[0].agent == text

    def test_a_piece_that_was_never_played_is_no_history_either(self, bench: Bench) -> None:
        bench.say("When do you open?")
        bench.know()
        bench.generate("We open at nine on weekdays. On Saturdays we open at ten in the morning.")
        first = bench.last(cmd.Synthesise).piece
        bench.feed(ev.Synthesised(first, b"\x00" * SECOND))
        bench.sleep(0.2)
        assert bench.last(cmd.Synthesise).piece != first, "the second piece is being made"
        bench.feed(ev.CallerSpoke(20 * SECOND))
        bench.feed(ev.PlayoutHeld((ev.PieceHeard(first, 6_000, SECOND),)))
        bench.pause("And on Sundays, are you open then?", at=21 * SECOND)
        text = str(bench.appended("heard")[-1]["text"])
        assert text
        assert "We open at nine on weekdays.".startswith(text)

    def test_a_piece_without_audio_was_not_heard(self, bench: Bench) -> None:
        bench.say("When do you open?")
        bench.know()
        bench.generate("We open at nine on weekdays. On Saturdays we open at ten in the morning.")
        first = bench.last(cmd.Synthesise).piece
        bench.feed(ev.Synthesised(first, b"\x00" * SECOND))
        bench.sleep(0.2)
        bench.feed(ev.Failed(ev.Stage.SYNTHESISE, bench.last(cmd.Synthesise).piece, "no voice"))
        bench.finish_all()
        assert bench.appended("heard")[-1]["text"] == "We open at nine on weekdays."

    def test_nothing_is_played_while_the_caller_speaks_over_the_agent(self, speaking: Bench) -> None:
        played = len(speaking.all(cmd.Play))
        speaking.speak_all()
        assert len(speaking.all(cmd.Play)) == played


def test_a_closing_cannot_be_interrupted(bench: Bench) -> None:
    bench.say("Goodbye.")
    bench.speak_all()
    bench.sleep(0.3)
    bench.feed(ev.CallerSpoke(20 * SECOND))
    bench.expect(Phase.SPEAKING)
    assert not bench.last(cmd.Play).interruptible
    bench.finish_all()
    bench.expect(Phase.ENDED)


def test_an_agent_that_may_not_be_interrupted_hears_who_still_speaks_at_its_end() -> None:
    bench = Bench(AGENT.model_copy(update={"turn_taking": TurnTaking(interruptible=False)}))
    bench.feed(ev.Started())
    bench.speak_all()
    bench.feed(ev.CallerSpoke(SECOND))
    bench.finish_all()
    bench.expect(Phase.HEARING)


def test_a_late_answer_is_preceded_by_a_filler(bench: Bench) -> None:
    bench.say("When do you open?")
    bench.sleep(AGENT.turn_taking.filler_after_ms / 1000)
    bench.speak_all()
    assert bench.played_text()[-1] == AGENT.phrases.filler
    bench.know()
    bench.generate("At nine.")
    bench.speak_all()
    bench.finish_all()
    assert bench.played_text()[-1] == "At nine."
    assert [data["text"] for data in bench.appended("heard")][-1] == "At nine.", "a filler is not history"


def test_no_filler_stands_before_an_answer_whose_words_are_there(bench: Bench) -> None:
    bench.say("When do you open?")
    bench.know()
    bench.generate("At nine.")
    bench.sleep(AGENT.turn_taking.filler_after_ms / 1000)
    bench.speak_all()
    assert bench.played_text()[1:] == ["At nine."]


def test_no_filler_stands_before_an_answer_that_has_begun(bench: Bench) -> None:
    bench.say("When do you open?")
    bench.know()
    bench.feed(ev.Generated(bench.last(cmd.Generate).attempt, ChatDelta("At")))
    bench.sleep(AGENT.turn_taking.filler_after_ms / 1000)
    assert AGENT.phrases.filler not in [c.text for c in bench.all(cmd.Synthesise)]
    bench.generate(" nine.")
    bench.speak_all()
    assert bench.played_text()[1:] == ["At nine."]


def test_a_model_that_stalls_after_a_word_is_no_silence(bench: Bench) -> None:
    bench.say("When do you open?")
    bench.know()
    bench.feed(ev.Generated(bench.last(cmd.Generate).attempt, ChatDelta("At")))
    bench.sleep(2 * AGENT.turn_taking.filler_after_ms / 1000)
    assert bench.last(cmd.Synthesise).text == AGENT.phrases.filler


def test_a_voice_that_stalls_is_no_silence(bench: Bench) -> None:
    bench.say("When do you open?")
    bench.know()
    bench.generate("At nine.")
    bench.sleep(2 * AGENT.turn_taking.filler_after_ms / 1000)
    assert bench.last(cmd.Synthesise).text == AGENT.phrases.filler
    bench.feed(ev.Synthesised(bench.last(cmd.Synthesise).piece, bytes(SECOND)))
    assert bench.played_text()[-1] == AGENT.phrases.filler
    bench.sleep(20)
    assert [c.text for c in bench.all(cmd.Synthesise)].count(AGENT.phrases.filler) == 1


def test_a_turn_that_a_replacement_answers_has_its_filler() -> None:
    bench = Bench(dialog=Dialog(AGENT, call_id="c1", epoch=1, max_call_s=600.0))
    ended = {"turn": 1, "text": "When do you open?", "through": SECOND, "language": "en"}
    journal = [
        CallEvent(call_id="c1", company_id="acme", seq=seq, kind=kind, at_ms=0.0, data=data)
        for seq, (kind, data) in enumerate([("call_started", {}), ("turn_ended", ended)])
    ]
    bench.run(recover(bench.dialog, journal, (), bench.now, 0.0).commands)
    bench.expect(Phase.THINKING)
    bench.sleep(AGENT.turn_taking.filler_after_ms / 1000)
    bench.speak_all()
    assert bench.played_text() == [AGENT.phrases.filler]


def test_what_an_edge_plays_that_no_journal_knows_is_dropped_by_a_replacement() -> None:
    bench = Bench(dialog=Dialog(AGENT, call_id="c1", epoch=1, max_call_s=600.0))
    ended = {"turn": 1, "text": "When do you open?", "through": SECOND, "language": "en"}
    journal = [
        CallEvent(call_id="c1", company_id="acme", seq=seq, kind=kind, at_ms=0.0, data=data)
        for seq, (kind, data) in enumerate([("call_started", {}), ("turn_ended", ended)])
    ]
    playing = ev.PieceHeard("0.7", 800, SECOND)
    commands = recover(bench.dialog, journal, (playing,), bench.now, 0.0).commands
    assert isinstance(commands[0], cmd.FlushPlayout), "nobody could let it go on, were it held"


def test_silence_is_broken_once_and_then_the_call_ends(bench: Bench) -> None:
    bench.sleep(12.1)
    bench.speak_all()
    assert bench.played_text()[-1] == AGENT.phrases.still_there
    bench.finish_all()
    bench.sleep(10.1)
    bench.speak_all()
    bench.finish_all()
    bench.expect(Phase.ENDED)


def test_the_longest_call_ends_with_a_spoken_notice(bench: Bench) -> None:
    bench.ask("When do you open?", "At nine.")
    bench.finish_all()
    bench.dialog.timers.cancel("silence")
    bench.sleep(700)
    bench.speak_all()
    assert bench.played_text()[-1] == AGENT.phrases.time_limit
    bench.finish_all()
    bench.expect(Phase.ENDED)


class TestKeypad:
    def press(self, bench: Bench, keys: str) -> None:
        for digit in keys:
            bench.feed(ev.DigitPressed(digit))

    def turns(self, bench: Bench) -> list[object]:
        return [data["text"] for data in bench.appended("turn_ended")]

    def test_digits_are_a_turn_after_a_hash(self, bench: Bench) -> None:
        self.press(bench, "12#")
        assert self.turns(bench) == ["1 2"]
        bench.expect(Phase.THINKING)

    def test_or_after_a_while(self, bench: Bench) -> None:
        self.press(bench, "7")
        bench.sleep(2.4)
        assert self.turns(bench) == []
        bench.sleep(0.2)
        assert self.turns(bench) == ["7"]

    def test_a_key_stops_the_agent_where_it_was_heard(self, bench: Bench) -> None:
        bench.ask("When do you open?", "We open at nine on weekdays and at ten on Saturdays.")
        piece = bench.last(cmd.Play).piece
        bench.feed(ev.PlayoutHeld((ev.PieceHeard(piece, 4_000, SECOND),)))
        self.press(bench, "5")
        heard = bench.appended("heard")[-1]
        assert heard["interrupted"] is True
        assert 0 < len(str(heard["text"])) < len("We open at nine on weekdays and at ten on Saturdays.")
        assert bench.all(cmd.FlushPlayout)
        bench.expect(Phase.LISTENING)

    def test_keys_come_too_late_for_a_closing(self, bench: Bench) -> None:
        bench.say("Goodbye.")
        bench.speak_all()
        bench.sleep(0.3)
        self.press(bench, "1#")
        bench.finish_all()
        bench.expect(Phase.ENDED)
        assert self.turns(bench) == ["Goodbye."]

    def test_keys_wait_for_the_end_of_a_phrase_that_may_not_be_interrupted(self) -> None:
        bench = Bench(AGENT.model_copy(update={"turn_taking": TurnTaking(greeting_interruptible=False)}))
        bench.feed(ev.Started())
        bench.speak_all()
        self.press(bench, "42#")
        assert self.turns(bench) == []
        bench.finish_all()
        assert self.turns(bench) == ["4 2"]

    def test_what_is_said_while_keys_are_pressed_is_one_turn_with_them(self, bench: Bench) -> None:
        bench.feed(ev.CallerSpoke(10 * SECOND))
        self.press(bench, "42#")
        assert self.turns(bench) == []
        bench.now += 1
        bench.pause("My customer number is")
        assert self.turns(bench) == ["My customer number is 4 2"]

    def test_keys_in_a_pause_end_the_turn(self, bench: Bench) -> None:
        bench.say("My customer number is")
        self.press(bench, "42#")
        assert self.turns(bench) == ["My customer number is 4 2"]

    def test_keys_over_noise_are_taken_alone(self, bench: Bench) -> None:
        bench.feed(ev.CallerSpoke(10 * SECOND))
        self.press(bench, "42#")
        bench.now += 1
        bench.pause("")
        assert self.turns(bench) == ["4 2"]

    def test_keys_over_speech_over_the_agent_are_a_turn(self, bench: Bench) -> None:
        bench.ask("When do you open?", "We open at nine on weekdays and at ten on Saturdays.")
        bench.feed(ev.CallerSpoke(20 * SECOND))
        self.press(bench, "9#")
        bench.expect(Phase.HEARING)
        bench.now += 1
        bench.pause("Extension", at=21 * SECOND)
        assert self.turns(bench)[-1] == "Extension 9"

    def test_speech_after_the_keys_is_the_next_turn_and_loses_nothing(self, bench: Bench) -> None:
        self.press(bench, "42#")
        bench.feed(ev.CallerSpoke(20 * SECOND))
        bench.expect(Phase.THINKING)
        ended = len(bench.all(cmd.EndUtterance))
        bench.know()
        bench.generate("Thank you.")
        bench.speak_all()
        bench.expect(Phase.INTERRUPTED)
        assert len(bench.all(cmd.EndUtterance)) == ended, "what is being said is kept"
        bench.pause("And when do you open?", at=22 * SECOND)
        bench.sleep(1.2)
        assert self.turns(bench) == ["4 2", "And when do you open?"]

    def answer_keys(self, bench: Bench) -> None:
        bench.know()
        bench.generate("Thank you.")
        bench.speak_all()

    def test_words_sent_with_the_keys_are_not_heard_again(self, bench: Bench) -> None:
        bench.feed(ev.CallerSpoke(10 * SECOND))
        self.press(bench, "42#")
        bench.now += 1
        bench.pause("My customer number is")
        assert bench.all(cmd.EndUtterance), "before the caller can go on"
        turn = next(c for c in bench.all(cmd.Append) if c.kind == "turn_ended")
        assert bench.log.index(turn) < bench.log.index(bench.last(cmd.EndUtterance))

    def test_what_was_begun_and_ended_while_the_agent_thought_about_keys_is_kept(self, bench: Bench) -> None:
        self.press(bench, "42#")
        ended = len(bench.all(cmd.EndUtterance))
        bench.feed(ev.CallerSpoke(20 * SECOND))
        bench.feed(ev.CallerPaused(22 * SECOND, 64.0))
        self.answer_keys(bench)
        bench.expect(Phase.SPEAKING)
        assert len(bench.all(cmd.EndUtterance)) == ended
        bench.finish_all()
        attempt = bench.last(cmd.Transcribe).attempt
        bench.feed(ev.Transcribed(attempt, Transcript("And when do you open?")))
        bench.sleep(1.2)
        assert self.turns(bench) == ["4 2", "And when do you open?"]
        assert bench.appended("turn_ended")[-1]["through"] == 22 * SECOND

    def test_keys_that_wait_for_the_agent_take_what_was_said_with_them(self) -> None:
        bench = Bench(AGENT.model_copy(update={"turn_taking": TurnTaking(interruptible=False)}))
        bench.greet()
        self.press(bench, "42#")
        bench.feed(ev.CallerSpoke(20 * SECOND))
        bench.feed(ev.CallerPaused(22 * SECOND, 64.0))
        self.answer_keys(bench)
        self.press(bench, "7#")
        bench.finish_all()
        bench.feed(ev.Transcribed(bench.last(cmd.Transcribe).attempt, Transcript("Extension")))
        assert self.turns(bench) == ["4 2", "Extension 7"]

    def test_who_goes_on_after_the_keys_says_it_all_in_one_turn(self, bench: Bench) -> None:
        self.press(bench, "42#")
        bench.feed(ev.CallerSpoke(20 * SECOND))
        bench.feed(ev.CallerPaused(22 * SECOND, 64.0))
        self.answer_keys(bench)
        bench.feed(ev.CallerSpoke(24 * SECOND))
        bench.pause("When do you open? On Monday?", at=26 * SECOND)
        bench.sleep(1.2)
        assert self.turns(bench) == ["4 2", "When do you open? On Monday?"]
        asked = len(bench.all(cmd.Transcribe))
        bench.know()
        bench.generate("At nine.")
        bench.speak_all()
        bench.finish_all()
        bench.expect(Phase.LISTENING)
        assert len(bench.all(cmd.Transcribe)) == asked

    @pytest.mark.parametrize("ends", [True, False])
    def test_further_keys_keep_what_is_being_said(self, bench: Bench, ends: bool) -> None:
        self.press(bench, "42#")
        bench.feed(ev.CallerSpoke(20 * SECOND))
        if ends:
            bench.feed(ev.CallerPaused(22 * SECOND, 64.0))
        ended = len(bench.all(cmd.EndUtterance))
        self.press(bench, "7#")
        assert len(bench.all(cmd.EndUtterance)) == ended

    def test_a_new_edge_while_the_agent_thinks_about_keys_is_nothing_said(self, bench: Bench) -> None:
        bench.ask("When do you open?", "At nine.")
        bench.finish_all()
        self.press(bench, "42#")
        bench.run(move_to_new_edge(bench.dialog, 30 * SECOND, bench.now))
        asked = len(bench.all(cmd.Transcribe))
        self.answer_keys(bench)
        bench.finish_all()
        assert len(bench.all(cmd.Transcribe)) == asked

    def test_a_filler_does_not_stay_held(self, bench: Bench) -> None:
        bench.say("When do you open?")
        bench.sleep(AGENT.turn_taking.filler_after_ms / 1000)
        bench.speak_all()
        bench.feed(ev.PlayoutHeld(()))
        self.press(bench, "1")
        assert bench.all(cmd.FlushPlayout)


class TestSpeculation:
    """How early an answer is prepared. A pause is seen after 64 ms here, as by default."""

    def begin(self, bench: Bench, at: int) -> None:
        bench.feed(ev.CallerSpoke(at))
        bench.now += 1.0
        bench.feed(ev.CallerPaused(at + SECOND, 64.0))

    def transcribe(self, bench: Bench, took_s: float, text: str = "When do you open") -> None:
        bench.sleep(took_s)
        attempt = bench.last(cmd.Transcribe).attempt
        bench.feed(ev.Transcribed(attempt, Transcript(text)))
        bench.feed(ev.Scored(attempt, 0.02))
        bench.feed(ev.WordsScored(attempt, 0.02))

    def test_intonation_is_asked_for_once_and_under_load_when_there_are_words(self, bench: Bench) -> None:
        self.begin(bench, 10 * SECOND)
        attempt = bench.last(cmd.Transcribe).attempt
        assert bench.last(cmd.Score) == cmd.Score(attempt)
        bench.feed(ev.Transcribed(attempt, Transcript("When do you open", load=3.0)))
        assert len(bench.all(cmd.Score)) == 1
        self.begin(bench, 20 * SECOND)
        bench.sleep(0.2)
        attempt = bench.last(cmd.Transcribe).attempt
        assert len(bench.all(cmd.Score)) == 1
        bench.feed(ev.Transcribed(attempt, Transcript("When do you open")))
        assert bench.last(cmd.Score) == cmd.Score(attempt)
        assert len(bench.all(cmd.Score)) == 2

    def test_a_turn_waits_for_intonation_as_for_words(self, bench: Bench) -> None:
        self.begin(bench, 10 * SECOND)
        attempt = bench.last(cmd.Transcribe).attempt
        bench.feed(ev.Transcribed(attempt, Transcript("When do you open on Saturday?")))
        bench.feed(ev.WordsScored(attempt, 0.9))
        bench.sleep(0.9)
        bench.expect(Phase.PAUSED)
        bench.feed(ev.Scored(attempt, 0.9))
        bench.expect(Phase.THINKING)
        bench.feed(ev.Scored(attempt, 0.1))
        bench.expect(Phase.THINKING)

    def test_a_courtesy_waits_for_intonation_alone(self, bench: Bench) -> None:
        self.begin(bench, 10 * SECOND)
        attempt = bench.last(cmd.Transcribe).attempt
        bench.feed(ev.Transcribed(attempt, Transcript("Thank you.")))
        assert not bench.all(cmd.ScoreWords)
        bench.sleep(0.3)
        bench.expect(Phase.PAUSED)
        bench.feed(ev.Scored(attempt, 0.9))
        assert bench.dialog.phase is not Phase.PAUSED

    def test_after_the_longest_wait_no_model_is_asked(self, bench: Bench) -> None:
        self.begin(bench, 10 * SECOND)
        attempt = bench.last(cmd.Transcribe).attempt
        bench.sleep(AGENT.turn_taking.patient_ms / 1000)
        bench.feed(ev.Transcribed(attempt, Transcript("When do you open on Saturday?")))
        assert not bench.all(cmd.ScoreWords)
        bench.expect(Phase.THINKING)

    def test_an_idle_machine_begins_at_once(self, bench: Bench) -> None:
        self.begin(bench, 10 * SECOND)
        assert len(bench.all(cmd.Transcribe)) == 1

    def test_a_loaded_one_waits_until_most_pauses_are_over(self, bench: Bench) -> None:
        self.begin(bench, 10 * SECOND)
        self.transcribe(bench, 0.06)
        for second in (20, 30, 40):
            self.begin(bench, second * SECOND)
            bench.sleep(0.2)
            self.transcribe(bench, 0.3)
        asked = len(bench.all(cmd.Transcribe))
        self.begin(bench, 50 * SECOND)
        assert len(bench.all(cmd.Transcribe)) == asked
        bench.sleep(0.17)
        assert len(bench.all(cmd.Transcribe)) == asked
        bench.sleep(0.01)
        assert len(bench.all(cmd.Transcribe)) == asked + 1

    def test_what_is_said_over_the_agent_is_heard_at_once(self, bench: Bench) -> None:
        bench.ask("When do you open?", "We open at nine in the morning.")
        bench.dialog.speculation.transcribed(400, load=3.0)
        bench.feed(ev.CallerSpoke(20 * SECOND))
        bench.expect(Phase.INTERRUPTED)
        asked = len(bench.all(cmd.Transcribe))
        bench.feed(ev.CallerPaused(21 * SECOND, 64.0))
        assert len(bench.all(cmd.Transcribe)) == asked + 1

    def test_who_goes_on_in_time_costs_nothing(self, bench: Bench) -> None:
        self.begin(bench, 10 * SECOND)
        self.transcribe(bench, 0.06)
        for second in (20, 30, 40):
            self.begin(bench, second * SECOND)
            bench.sleep(0.2)
            self.transcribe(bench, 0.3)
        asked = len(bench.all(cmd.Transcribe))
        self.begin(bench, 50 * SECOND)
        bench.feed(ev.CallerSpoke(51 * SECOND))
        bench.sleep(1)
        assert len(bench.all(cmd.Transcribe)) == asked

    def test_a_caller_who_hesitates_much_is_answered_a_little_later(self, bench: Bench) -> None:
        for second in (10, 11, 12, 13, 14):
            self.begin(bench, second * SECOND)
            self.transcribe(bench, 0.06)
        asked = len(bench.all(cmd.Transcribe))
        self.begin(bench, 15 * SECOND)
        assert len(bench.all(cmd.Transcribe)) == asked
        bench.sleep(0.1)
        assert len(bench.all(cmd.Transcribe)) == asked + 1

    def test_what_was_for_nothing_is_told_with_the_turn(self, bench: Bench) -> None:
        bench.say("When do you")
        bench.know()
        bench.generate("We open at nine.")
        bench.speak_all()
        bench.feed(ev.CallerSpoke(12 * SECOND))
        bench.pause("When do you open on Mondays?", at=13 * SECOND)
        bench.know()
        bench.generate("At nine.")
        bench.speak_all()
        bench.sleep(0.2)
        bench.finish_all()
        told = next(t.event for t in reversed(bench.all(cmd.Tell)) if t.event["type"] == "turn")
        assert told["vain"] == {"transcripts": 1, "replies": 1, "clauses": 1}


def test_a_greeting_may_be_made_uninterruptible_alone() -> None:
    bench = Bench(AGENT.model_copy(update={"turn_taking": TurnTaking(greeting_interruptible=False)}))
    bench.feed(ev.Started())
    bench.speak_all()
    assert not bench.last(cmd.Play).interruptible
    bench.finish_all()
    bench.ask("When do you open?", "At nine.")
    assert bench.last(cmd.Play).interruptible


def test_a_key_comes_too_late_for_a_closing_and_does_not_silence_it() -> None:
    bench = Bench(AGENT.model_copy(update={"turn_taking": TurnTaking(closing_interruptible=True)}))
    bench.greet()
    bench.say("Goodbye.")
    bench.speak_all()
    bench.sleep(0.3)
    bench.feed(ev.PlayoutHeld((ev.PieceHeard(bench.last(cmd.Play).piece, 0, SECOND),)))
    assert cmd.ResumePlayout() in bench.feed(ev.DigitPressed("1"))
    bench.finish_all()
    bench.expect(Phase.ENDED)


def test_a_closing_may_be_made_interruptible() -> None:
    bench = Bench(AGENT.model_copy(update={"turn_taking": TurnTaking(closing_interruptible=True)}))
    bench.greet()
    bench.say("Goodbye.")
    bench.speak_all()
    bench.sleep(0.3)
    bench.feed(ev.CallerSpoke(20 * SECOND))
    bench.expect(Phase.INTERRUPTED)
    bench.pause("Oh wait, when do you open?", at=21 * SECOND)
    bench.finish_all()
    assert not bench.all(cmd.HangUp)


@pytest.mark.parametrize("why", ["limit", "dismissed"])
def test_last_words_are_heard_by_who_is_talking_when_they_come(why: str) -> None:
    """The edge holds what may be interrupted while the caller speaks, and only the core lets it go on."""
    bench = Bench(AGENT.model_copy(update={"turn_taking": TurnTaking(closing_interruptible=True)}))
    bench.greet()
    bench.dialog.timers.cancel("silence")
    bench.sleep(500)
    bench.feed(ev.CallerSpoke(500 * SECOND))
    if why == "limit":
        bench.sleep(101)
    else:
        bench.feed(ev.Dismissed())
    bench.speak_all()
    assert not bench.last(cmd.Play).interruptible
    bench.finish_all()
    bench.expect(Phase.ENDED)


def test_last_words_do_not_wait_for_an_edge_that_says_nothing(bench: Bench) -> None:
    bench.ask("When do you open?", "At nine.")
    bench.feed(ev.Dismissed())
    bench.sleep(0.6)
    bench.speak_all()
    assert bench.played_text()[-1] == AGENT.phrases.closing


@pytest.mark.parametrize(
    ("stage", "phrase"),
    [
        (ev.Stage.TRANSCRIBE, AGENT.phrases.not_heard),
        (ev.Stage.RETRIEVE, AGENT.phrases.unknown),
        (ev.Stage.GENERATE, AGENT.phrases.apology),
    ],
)
def test_a_failed_stage_is_never_silence(bench: Bench, stage: ev.Stage, phrase: str) -> None:
    bench.feed(ev.CallerSpoke(10 * SECOND))
    bench.now += 1
    if stage is ev.Stage.TRANSCRIBE:
        bench.feed(ev.CallerPaused(11 * SECOND, 144.0))
    else:
        bench.pause("When do you open?")
    attempt = bench.last(cmd.Transcribe).attempt
    if stage is ev.Stage.GENERATE:
        bench.know()
    bench.sleep(0.3)
    bench.feed(ev.Failed(stage, attempt, "gone"))
    bench.speak_all()
    assert bench.played_text()[-1] == phrase


def test_without_the_turn_model_words_and_silence_decide(bench: Bench) -> None:
    bench.feed(ev.CallerSpoke(10 * SECOND))
    bench.now += 1
    bench.feed(ev.CallerPaused(11 * SECOND, 144.0))
    attempt = bench.last(cmd.Transcribe).attempt
    bench.feed(ev.Transcribed(attempt, Transcript("When do you open?")))
    bench.feed(ev.Failed(ev.Stage.SCORE, attempt, "gone"))
    bench.sleep(1.2)
    bench.expect(Phase.THINKING)


def test_speech_that_cannot_be_made_becomes_the_apology_once(bench: Bench) -> None:
    bench.say("When do you open?")
    bench.know()
    bench.sleep(0.2)
    bench.generate("At nine.")
    bench.feed(ev.Failed(ev.Stage.SYNTHESISE, bench.last(cmd.Synthesise).piece, "gone"))
    assert bench.last(cmd.Synthesise).text == AGENT.phrases.apology
    bench.feed(ev.Failed(ev.Stage.SYNTHESISE, bench.last(cmd.Synthesise).piece, "gone"))
    bench.expect(Phase.LISTENING)


def test_a_greeting_that_cannot_be_spoken_is_an_apology_and_an_end(bench: Bench) -> None:
    bench = Bench()
    bench.feed(ev.Started())
    bench.feed(ev.Failed(ev.Stage.SYNTHESISE, bench.last(cmd.Synthesise).piece, "gone"))
    assert bench.last(cmd.Synthesise).text == AGENT.phrases.apology
    bench.speak_all()
    bench.finish_all()
    assert bench.all(cmd.HangUp)


def test_without_any_voice_a_call_in_silence_is_ended(bench: Bench) -> None:
    bench = Bench()
    bench.feed(ev.Started())
    for _ in range(2):
        bench.feed(ev.Failed(ev.Stage.SYNTHESISE, bench.last(cmd.Synthesise).piece, "gone"))
    assert bench.all(cmd.HangUp)


def fail_a_turn(bench: Bench, at: int) -> None:
    bench.say("When do you open?", at=at * SECOND)
    bench.know()
    bench.sleep(0.3)
    bench.feed(ev.Failed(ev.Stage.GENERATE, bench.last(cmd.Generate).attempt, "gone"))
    bench.speak_all()
    bench.finish_all()


def test_two_failed_turns_in_a_row_end_the_call(bench: Bench) -> None:
    for at in (10, 50):
        fail_a_turn(bench, at)
        bench.expect(Phase.LISTENING)
        assert bench.played_text()[-1] == AGENT.phrases.apology
        bench.ask("When do you open?", "At nine.", at=(at + 20) * SECOND)
        bench.finish_all()
    assert not bench.all(cmd.HangUp)
    fail_a_turn(bench, 100)
    fail_a_turn(bench, 120)
    assert bench.played_text()[-1] == AGENT.phrases.apology
    assert bench.all(cmd.HangUp)


def test_the_call_ends_with_a_reason_whatever_was_going_on(bench: Bench) -> None:
    bench.ask("When do you open?", "At nine.")
    bench.feed(ev.HungUp("caller hung up"))
    assert bench.appended("call_ended") == [{"reason": "caller hung up"}]
    assert bench.dialog.wake_at is None
    assert bench.feed(ev.CallerSpoke(0)) == []


def test_the_prompt_holds_history_and_facts(bench: Bench) -> None:
    bench.ask("When do you open?", "At nine.")
    bench.finish_all()
    bench.say("And where are you located?", at=30 * SECOND)
    bench.know()
    prompt = " ".join(message.content for message in bench.last(cmd.Generate).request.messages)
    assert "When do you open?" in prompt
    assert "At nine." in prompt
    assert prompt.index("And where are you located?") > prompt.index("At nine.")


def test_the_timeline_of_a_turn_is_told_in_order(bench: Bench) -> None:
    bench.ask("When do you open?", "At nine.")
    piece = bench.last(cmd.Play).piece
    bench.feed(ev.PieceStarted(piece, bench.now * 1000 + 5))
    bench.finish_all()
    told = next(t.event for t in reversed(bench.all(cmd.Tell)) if t.event["type"] == "turn")
    stamps = told["stamps"]
    order = [
        "speech_end",
        "pause",
        "transcript",
        "context",
        "first_token",
        "first_audio",
        "confirmed",
        "released",
    ]
    assert [stamps[name] for name in order] == sorted(stamps[name] for name in order)
    assert set(order) < set(stamps)


def test_only_the_first_part_of_an_answer_is_its_first_byte(bench: Bench) -> None:
    bench.ask("When do you open?", "We open at nine on weekdays. On Saturdays we open at ten in the morning.")
    bench.speak_all()
    first, second = (play.piece for play in bench.all(cmd.Play)[1:])
    at = bench.now
    bench.feed(ev.PieceStarted(first, at * 1000))
    bench.feed(ev.PieceStarted(second, (at + 1) * 1000))
    bench.finish_all()
    stamps = bench.appended("heard")[-1]["stamps"]
    assert isinstance(stamps, dict)
    assert stamps["first_byte"] == round(at * 1000, 1)


def test_a_later_part_is_no_first_byte_where_nobody_told_of_the_first(bench: Bench) -> None:
    bench.ask("When do you open?", "We open at nine on weekdays. On Saturdays we open at ten in the morning.")
    bench.speak_all()
    first, second = (play.piece for play in bench.all(cmd.Play)[1:])
    bench.feed(ev.PieceFinished(first))
    bench.feed(ev.PieceStarted(second, bench.now * 1000))
    bench.finish_all()
    stamps = bench.appended("heard")[-1]["stamps"]
    assert isinstance(stamps, dict)
    assert "first_byte" not in stamps


def test_agents_are_values() -> None:
    assert AgentConfig(id="a", company_id="c") == AgentConfig(id="a", company_id="c")


def test_a_dismissed_caller_hears_goodbye_before_the_line_is_closed(bench: Bench) -> None:
    bench.ask("When do you open?", "We open at nine every day.")
    piece = bench.last(cmd.Play).piece
    bench.feed(ev.Dismissed())
    assert bench.all(cmd.HoldPlayout), "first it has to be known how far the caller heard"
    bench.feed(ev.PlayoutHeld((ev.PieceHeard(piece, 4_000, SECOND),)))
    assert "We open at nine every day.".startswith(str(bench.appended("heard")[-1]["text"]))
    bench.speak_all()
    assert bench.played_text()[-1] == AGENT.phrases.closing
    bench.finish_all()
    bench.expect(Phase.ENDED)


def test_where_old_exchanges_are_forgotten_the_rest_is_read_while_nobody_waits(
    bench: Bench,
) -> None:
    long = Passage("We open at nine. " * 60, score=0.9)
    while not bench.all(cmd.ReadAhead):
        assert len(bench.all(cmd.Generate)) < 10
        bench.say("When do you open?", at=(10 + len(bench.log)) * SECOND)
        bench.know(long)
        bench.generate("At nine.")
        bench.speak_all()
        bench.sleep(1.0)
        assert not bench.all(cmd.ReadAhead), "not while it is being said"
        bench.finish_all()
        bench.expect(Phase.LISTENING)
    assert len(bench.all(cmd.Generate)) > 1, "a short history is whole"
    bench.say("When do you open?", at=(10 + len(bench.log)) * SECOND)
    bench.know(long)
    read = bench.last(cmd.ReadAhead).requests[-1].messages
    assert bench.last(cmd.Generate).request.messages[: len(read) - 1] == read[:-1]
    bench.generate("At nine.")
    bench.speak_all()
    bench.sleep(1.0)
    bench.finish_all()
    assert len(bench.all(cmd.ReadAhead)) == 1, "once for each cut"

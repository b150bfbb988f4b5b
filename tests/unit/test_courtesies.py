"""Which turns are nothing but courtesies, and which only look like it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dialog.courtesies import MAX_WORDS, Courtesy, classify

GOODBYES = """Bye.|Goodbye!|Good, bye.|Bye-bye.|Okay, bye bye.|Thanks, bye.|All right, thank you. Bye.
See you later.|Have a nice day!|Have a good one, bye.|You too, goodbye.|That's all, thank you.
That’s it, thanks.|No, that's all.|No, that will be all.|Nothing else.
Nothing more, thank you very much.|No thanks.|No, thank you.|No, thank you very much, goodbye.
I think that's everything.|That's all I needed to know.|I have to go now.|Good night.
OK great, thank you so much for your help, have a great day, bye.|Talk to you later.|Take care.
I'm all set, thanks.|I am done.|No more questions.|BYE|Um, okay, well, bye then.
Thank you, goodbye for now"""
THANKS = """Thanks.|Thank you.|thank you very much|Thank you so much!|Okay, thanks.|Great, thank you.
Many thanks.|Thanks a lot.|Thank you for your help.|Thanks for the information.
Thanks for all your help.|Perfect. Thank you!|I appreciate it.|That's very helpful, thanks.
You've been very helpful.|Cheers.|Yes, thank you.|Oh, thank you, sir.|Thanks again.|Much appreciated.
Alright. Thank you. Thank you."""
REPEATS = """Can you repeat that?|Could you say that again, please?|Repeat that.|Sorry, what was that?
Pardon?|Pardon me?|What did you say?|Say again?|I didn't catch that.|Sorry, I did not hear you.
One more time, please.|Come again?|Again?|Could you please repeat that?|Sorry?|What?|Huh?
Can you repeat what you said?|Please repeat.|I beg your pardon?|Okay, can you say that one more time?
Would you mind repeating that?"""
CAN_HEARS = """Can you hear me?|Hello? Can you hear me?|Hello, are you there?|Are you still there?
Is anybody there?|Do you hear me now?|Hello, hello, is anyone there?|You still there?
Can anyone hear me?|Are you listening?"""
NOS = "No.|Nope.|no no no|Not really.|Um, no.|Nah.|No, not right now.|Not at the moment.|I'm good."
YESES = """Yes.|Yeah.|Yes, please.|Yep|Sure.|Okay.|OK.|Okay, great.|All right.|That's right.|Of course.
I see.|Got it.|Mm-hmm.|Uh-huh.|Sounds good.|Oh, okay.|That's all right.|Yeah yeah, okay.
Right, I understand."""
HELLOS = """Hello.|Hello?|Hi.|Hi there!|Hey.|Good morning.|Hello, good afternoon.|Hi, how are you?
Hello hello.|Um, hi, how are you doing today?|Good evening, sir."""

CASES = [
    (phrase.strip(), kind)
    for kind, phrases in (
        (Courtesy.GOODBYE, GOODBYES),
        (Courtesy.THANKS, THANKS),
        (Courtesy.REPEAT, REPEATS),
        (Courtesy.CAN_HEAR, CAN_HEARS),
        (Courtesy.NO, NOS),
        (Courtesy.YES, YESES),
        (Courtesy.HELLO, HELLOS),
    )
    for phrase in phrases.replace("\n", "|").split("|")
]

NEAR_MISSES = """Thanks, and what are your hours?|Thank you, how much is a cleaning?
Bye the way, do you speak Spanish?|Hello, is this the dental clinic?|Hi, I have a toothache.
Good morning, when do you open?|Yes, I need an appointment.|No, I meant on Sunday.
Okay, and on Saturday?|Can you hear me if I call from the car park?|Can you repeat the address?
What did you say about parking?|Are you there on Sunday?|Is anyone there on Saturday?
Is that all you take?|Have a look at my appointment.|See you on Monday at five?|I'm good with Friday.
Do you have a good day for a check-up?|What is that?|What are your hours?|So what does it cost?
Nothing hurts.|That's it? Only 60 dollars?|Not on Monday.|Again, when do you open?
I have to go to the dentist.|Sorry, I want to cancel.|Right side or left side?|Um.|...|?|Well, so.
Please.|I can't hear anything on my left ear.|Thanks to whom?|Dr. Goodbye|спасибо, а сколько стоит
Thank you 5|No parking?|Say, do you whiten teeth?|Is it okay?|How are you paid?|Is there more?"""


@pytest.mark.parametrize(("phrase", "kind"), CASES)
def test_courtesies_are_recognised(phrase: str, kind: Courtesy) -> None:
    assert classify(phrase) is kind


@pytest.mark.parametrize("phrase", [line.strip() for line in NEAR_MISSES.replace("\n", "|").split("|")])
def test_near_misses_are_left_to_the_model(phrase: str) -> None:
    assert classify(phrase) is None


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(CASES),
    st.sampled_from(["{}", "{}.", "{}!", " {} ", "{},", "Um, {}", "Okay. {}", "{} please"]),
)
def test_case_punctuation_and_fillers_do_not_hide_a_courtesy(case: tuple[str, Courtesy], frame: str) -> None:
    phrase, kind = case
    framed = frame.format(phrase)
    assert classify(framed.upper()) is classify(framed.lower())
    weights = list(Courtesy)
    found = classify(framed)
    assert found is not None
    assert weights.index(found) <= weights.index(kind)


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(CASES), st.sampled_from(["parking", "insurance", "60", "when do you open", "Dr. Gomez"])
)
def test_a_question_at_either_end_is_never_swallowed(case: tuple[str, Courtesy], question: str) -> None:
    assert classify(f"{case[0]} {question}") is None
    assert classify(f"{question} {case[0]}") is None


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_classified_or_left_alone(text: str) -> None:
    assert classify(text) in (None, *Courtesy)


def test_a_long_turn_holds_something_to_answer() -> None:
    assert classify("yes " * MAX_WORDS) is Courtesy.YES
    assert classify("yes " * (MAX_WORDS + 1)) is None

"""Caller's turns that need no knowledge: greetings, thanks, goodbyes and the like.

A turn is a courtesy only when all of it is one: "Thanks, and what are your hours?" is a question. Case and
punctuation are ignored, since a recogniser's are guesses ("Good, bye." is a goodbye).
"""

from __future__ import annotations

import re
from enum import StrEnum


class Courtesy(StrEnum):
    """In order of weight: of several in one turn ("okay, thanks, bye") the first of these counts."""

    GOODBYE = "goodbye"
    """The caller has all that they need: the call may end."""
    REPEAT = "repeat"
    """Say again what you said last."""
    CAN_HEAR = "can_hear"
    """Whether anybody is on the line."""
    THANKS = "thanks"
    NO = "no"
    YES = "yes"
    """Also "okay", "I see" and the like."""
    HELLO = "hello"


_THANK_FOR = (
    r"(?: for (?:everything|that|this|(?:all )?(?:of )?(?:your|the) "
    r"(?:help|time|information|info|assistance|answers?|patience)))?"
)
_MUCH = r"(?: (?:so much|very much|very very much|a lot|a million|a bunch|again|kindly|ever so much))?"
_DAY = r"(?:(?:a|the rest of your) )?(?:very )?(?:nice|good|great|lovely|wonderful|pleasant)"
_ANYONE = r"(?:anyone|anybody|someone|somebody)"
_I_AM = r"(?:i think )?(?:i am|im|we are|were)"
_CAN_YOU = r"(?:(?:can|could|would|will) you |please )?(?:please )?"
_IS = r"(?:s| is| was| will be|ll be)"

# Each is a regular expression over lower-case words without apostrophes, one space apart.
_PHRASES: dict[Courtesy, tuple[str, ...]] = {
    Courtesy.GOODBYE: (
        r"good ?bye(?: for now| now)?",
        r"bye(?: bye)*(?: for now| now)?",
        r"good ?night",
        r"(?:see|talk to|speak to) (?:you|ya)(?: (?:later|soon|then|tomorrow|around))?",
        r"take care",
        rf"have {_DAY} (?:day|one|evening|afternoon|morning|night|weekend|time|rest of your day)",
        rf"(?:i think )?(?:that{_IS}|thatd be) (?:all|it|everything)"
        r"(?: (?:i (?:need|needed|wanted|want|had)(?: to know)?|from me))?(?: for (?:now|today))?",
        r"nothing (?:else|more)(?: (?:for (?:now|today)|from me))?",
        r"no(?:thing)? (?:more|other|further) questions(?: from me)?",
        r"i have no (?:more|other|further) questions",
        rf"{_I_AM} (?:all )?(?:done|finished|set)(?: (?:for (?:now|today)|here))?",
        rf"{_I_AM} (?:all )?good for (?:now|today)",
        r"i (?:have to|need to|must|gotta|got to|should) (?:go|run|leave)(?: now)?",
        r"(?:ill|i will) let you go",
        r"you can hang up(?: now)?",
    ),
    Courtesy.REPEAT: (
        rf"{_CAN_YOU}(?:repeat|say)(?: (?:that|it|this))?(?: (?:again|one more time|once more|for me))+",
        rf"{_CAN_YOU}repeat(?: (?:that|it|this|yourself|what you (?:just )?said))?",
        r"(?:would you mind|do you mind) (?:repeating|saying) (?:that|it)(?: again)?",
        r"what (?:did|do) you (?:just )?sa(?:y|id)",
        r"what(?: was (?:that|it))?(?: again)?",
        r"(?:i )?(?:pardon|beg your pardon|beg pardon)(?: me)?",
        r"come again",
        r"say what",
        r"(?:i )?(?:didnt|did not|couldnt|could not|cant|cannot) (?:quite )?"
        r"(?:catch|hear|get|understand) (?:that|it|you|what you said)(?: (?:last )?(?:part|bit))?",
        r"(?:i )?missed (?:that|it)",
        r"(?:one more time|once more|once again|again)",
        r"excuse me",
        r"(?:sorry|im sorry|huh|eh|what) \?",
    ),
    Courtesy.CAN_HEAR: (
        rf"(?:can|do|could|did) (?:you|{_ANYONE}) (?:still )?hear me(?: (?:now|okay|ok|well|alright))?",
        r"(?:are )?you (?:still )?(?:there|here|on the line|listening)(?: still)?",
        rf"(?:is )?{_ANYONE} (?:still )?(?:there|here|on the line|home)",
        r"am i (?:audible|coming through|still connected|on mute)",
        r"(?:have i|did i) (?:lost|lose) you",
    ),
    Courtesy.THANKS: (
        rf"(?:many )?thanks{_MUCH}{_THANK_FOR}",
        rf"(?:i )?(?:just )?(?:want to |wanted to |would like to )?thank (?:you|ya|u){_MUCH}{_THANK_FOR}",
        r"thankyou",
        r"thx",
        r"cheers",
        r"(?:i )?(?:really |do )?appreciate (?:it|that|your (?:help|time))",
        r"much appreciated",
        r"(?:that|this|it|you)(?:s|re| is| are| was| were|ve been| have been) "
        r"(?:very |so |really |most |super )?(?:helpful|kind|nice of you|good to know)",
        r"(?:youve been|you have been) (?:very |so |a great |a big |really )?(?:helpful|help|kind)",
    ),
    Courtesy.NO: (
        r"no(?: no)*",
        r"nope",
        r"nah",
        r"not (?:really|at the moment|right now|now|today|yet)",
        r"not at all",
        r"(?:im|i am|we are|were) (?:good|fine|okay|ok|all right|alright)",
    ),
    Courtesy.YES: (
        r"(?:yes|yeah|yep|yup|yah)(?: (?:yes|yeah|yep))*",
        r"sure(?: thing)?",
        r"(?:okay|ok|okey|k|okey dokey)(?: (?:okay|ok))*",
        r"(?:al(?:l ?)?right|alrighty|right)",
        r"(?:thats |that is )?(?:correct|right|fine|great|good|perfect|okay|ok|wonderful|excellent|lovely)",
        r"(?:thats|that is) (?:al(?:l ?)?right|good to know)",
        r"good to know",
        r"exactly",
        r"absolutely",
        r"definitely",
        r"of course",
        r"please do",
        r"go ahead",
        r"i (?:see|understand|got it|do|am|would|will)",
        r"(?:i )?(?:got it|gotcha|got you)",
        r"understood",
        r"(?:sounds|looks) (?:good|great|fine|perfect)",
        r"(?:cool|awesome|amazing|brilliant|fantastic|super)",
        r"(?:mm|mhm|mm hm|mm hmm|mmhm|mhmm|uh huh|uhhuh|aha|hmm|hm)",
    ),
    Courtesy.HELLO: (
        r"(?:hello|hi|hiya|hey|howdy|greetings)(?: (?:hello|hi|there|again|everyone|everybody))*",
        r"good (?:morning|afternoon|evening|day)",
        r"(?:how are you|hows it going|how is it going|how do you do|whats up)(?: (?:doing|today))*",
        r"(?:nice|pleased|good) to (?:meet|talk to|speak to|speak with) you",
    ),
}

_FILLERS = (
    r"(?:um|umm|uh|uhm|er|erm|ah|oh|well|so|and|then|now|just|please|you too|sir|maam|madam|miss|mister|dear"
    r"|my friend|guys|anyway|actually|really|today|man|sorry|im sorry|i am sorry|wow|ha|\?)"
)

MAX_WORDS = 24
"""A longer turn holds something to answer."""
_MAX_PHRASE_WORDS = 12

_WORD = re.compile(r"[^\W_]+|\?")
_APOSTROPHES = re.compile(r"[’'`´]")
_FILLER = re.compile(_FILLERS)
_KINDS = {kind: re.compile("|".join(f"(?:{phrase})" for phrase in _PHRASES[kind])) for kind in Courtesy}


def classify(text: str) -> Courtesy | None:
    """Which courtesy a caller's whole turn is, or None if it holds anything that needs an answer."""
    words = _WORD.findall(_APOSTROPHES.sub("", text).casefold())
    if not words or len(words) > MAX_WORDS:
        return None
    found = _parse(words)
    if {Courtesy.NO, Courtesy.THANKS} <= found:
        return Courtesy.GOODBYE  # "No, thank you." turns down what else the agent may offer
    return next((kind for kind in Courtesy if kind in found), None)


def _parse(words: list[str]) -> frozenset[Courtesy]:
    """The kinds of phrases that the words are made of, in the fewest pieces; empty if they are not."""
    best: dict[int, tuple[int, frozenset[Courtesy]]] = {0: (0, frozenset())}
    for start in range(len(words)):
        if start not in best:
            continue
        pieces, kinds = best[start]
        for end in range(start + 1, min(start + _MAX_PHRASE_WORDS, len(words)) + 1):
            found = _kind(" ".join(words[start:end]))
            if found is not None and (end not in best or pieces + 1 < best[end][0]):
                best[end] = (pieces + 1, kinds | found)
    return best.get(len(words), (0, frozenset[Courtesy]()))[1]


def _kind(phrase: str) -> frozenset[Courtesy] | None:
    """The kind of one phrase; none for a filler; None if it is neither."""
    for kind, pattern in _KINDS.items():
        if pattern.fullmatch(phrase):
            return frozenset((kind,))
    return frozenset() if _FILLER.fullmatch(phrase) else None

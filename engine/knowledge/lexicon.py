"""What English callers say on any phone line: words that carry no topic, and words that mean the same.

Nothing in here belongs to one trade. It is data for `coverage`; another language needs its own.
"""

from __future__ import annotations

_EMPTY = """
a an the i me my mine myself you your yours yourself we us our ours he him his she her hers it its they them
their this that these those is are am was were be been being do does did doing done have has had having can
could will would shall should may might must cannot to of in on at by for from with without about into onto
out up down over under off through between during while until till since before after around back away as
than then if because so and or but not no nor yes yeah yep any some all each every both either such very too
also just only still already even yet really actually maybe perhaps quite again else ever always usually
normally exactly especially currently right regular normal ordinary there here what when where which who
whom whose how why hi hey hello um uh er ah oh well okay ok please thanks thank sorry excuse sir madam good
guys folks quick quickly want wants wanted need needs needed like liked wonder wondering know tell told say
said ask asked asking question think thought see let guess suppose hope try trying understand mean help
possible possibly able give gives gave get gets getting got go goes going gone come comes coming came make
makes making made put bring bringing keep use uses using happen happens happened place accept accepts
accepted accepting except take takes taking taken allow allowed offer offers offering provide provides sell
sells selling sold stock carry buy thing things something anything everything someone anyone everyone
somebody anybody kind sort type option options lot bit way today tonight tomorrow now soon later moment
minute day week mother mom mum father dad wife husband friend name names mr mrs ms miss dr work works
working one two three four five six seven eight nine ten eleven twelve first
"""

_HERE = """
building business centre center clinic company firm garage hotel office practice restaurant salon school shop
store studio workshop
"""

_SAME = """
price pricing cost charge fee rate much expensive cheap dollar euro pound cent free pay $ € £
address location located street road lane avenue boulevard drive square find direction situated reach
hour hours open opening close closing closed time late early
monday tuesday wednesday thursday friday weekday weekdays
saturday weekend
sunday weekend
christmas easter thanksgiving holiday holidays
morning noon am
evening afternoon night pm
child children kid son daughter toddler baby boy girl
old age ages aged years
many number amount
elevator lift
long duration minutes days weeks months
appointment book booking reserve reservation schedule slot
order ordering buy bought purchase
call phone telephone ring
website online internet web
email mail e-mail
doctor dr physician dentist
dentist dental
urgent urgently emergency asap immediately
park parking parked car lot
car vehicle auto
wheelchair disabled accessible access accessibility ramp
pay payment paid cash card credit debit visa mastercard
speak language spoken
staff team people employee
cancel cancellation cancelled reschedule
treat treatment see seen
break broke broken crack cracked
fall fell fallen
hurt pain painful ache aching sore toothache
bad terrible awful horrible
return refund exchange brought
fix repair mend repaired
"""

MEASURES = ("much", "many", "long", "old")
"""What is asked of a thing, and does not name it."""

QUESTION_WORDS = {"where": "address", "when": "hours", "who": "staff"}
"""What a question is about when it names nothing else: "Where are you?"."""


def empty_words() -> frozenset[str]:
    """Words that a question is phrased with and that no passage needs to contain."""
    return frozenset(_EMPTY.split())


def names_for_here() -> frozenset[str]:
    """Words that callers say for the company itself, as in "your shop"."""
    return frozenset(_HERE.split())


def groups() -> list[frozenset[str]]:
    """Sets of words that stand for each other on the phone; a word may be in several."""
    return [frozenset(line.split()) for line in _SAME.strip().splitlines()]

"""Ray actors. `call` is one call, `switchboard` admits calls and lends actors, `recorder` keeps the journal.

All are named and detached in a namespace of their own, so that no creator's death takes calls along.
Nothing in here holds rules: those are in the engine, testable without Ray.
"""

NAMESPACE = "parley"
SWITCHBOARD = "switchboard"
RECORDER = "recorder"
BREAKERS = "breakers"

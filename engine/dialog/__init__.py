"""The turn-taking core: events in, commands out; no I/O, no clock of its own, no Ray.

`events` is what can happen, `commands` what the core can ask for, `table` which event means what in which
phase, `core` the state machine, `endpoint` when a turn is over, `reply` what is being said, `recovery` how a
replacement takes a call over. Time is an argument: seconds of a monotonic clock. Positions are samples of
call audio (8 kHz).
"""

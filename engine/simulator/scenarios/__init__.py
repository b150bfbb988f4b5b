"""Ways of calling that put one rule of turn-taking to the test, many times over, and measure it.

A scenario (`base.Scenario`) is a script for each call and an analysis of what came of it: rows, one for each
time that the rule was tried, and figures over all rows. The analyses are pure functions over a tape and its
events (`overlap` has what they share); `speak_over` is the step that needs a live call.
"""

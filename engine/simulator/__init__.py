"""The other end of the line: a carrier, a caller on it, and a judge of what the agent answered.

`carrier` is the protocol and the playout clock (sans-I/O), `caller` its asyncio shell, `conversation` a
script of questions, `analysis` what came of each; `scenarios` are scripts that try one rule of turn-taking,
with analyses of their own; `judge` decides whether an answer was right. Nothing in here looks inside the
server: what is measured is what a caller's ear gets.
"""

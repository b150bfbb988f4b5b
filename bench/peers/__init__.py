"""Parley beside a peer: the same callers, weights, prompt and facts, one system at a time.

`python -m bench.peers` runs here, in Parley's environment, and starts what it measures. Only `bot` is for the
peer's own environment (`set_up.sh`), and it imports nothing of Parley. See README.md.
"""

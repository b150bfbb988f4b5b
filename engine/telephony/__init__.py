"""Carriers: what they say and want to hear, turned into one set of events and commands.

`events` is the carrier-neutral vocabulary; each carrier has a module of its own that is sans-I/O (text in,
events out; commands in, text out). `tokens` signs and checks the right to open a media socket, `signature`
checks webhooks, `twiml` writes the answers. Nothing in here opens a socket or knows a web framework.
"""

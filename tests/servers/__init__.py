"""Servers that are set up in another way, in a run of their own: only one server fits on a machine."""

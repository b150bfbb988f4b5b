"""The engine in plain Python.

Nothing in this package imports ray, actors or deployments: Ray is a shell around it, so that every rule
here can be tested in milliseconds. Read `engine.dialog` first; it is what the rest exists for.
"""

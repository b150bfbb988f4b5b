"""The HTTP API: thin routes that parse, authorise and ask the `ApiBackend`, which the deployment provides.

Nothing in here imports Ray or holds a call's state.
"""

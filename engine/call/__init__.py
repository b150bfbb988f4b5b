"""One call, without Ray: the conductor (the actor's side) and the edge (the socket's side).

`spec` is what both are told about a call, `conductor` executes the dialog core's commands over the providers,
`edge` joins a carrier's socket to a conductor through the link. `actors` and `deployments` put them on Ray.
"""

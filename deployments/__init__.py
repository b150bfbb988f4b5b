"""Ray Serve deployments: the media edge and the API (routed), the models and the knowledge (internal).

Each module has a builder `build(args)` that `serve_config.yaml` names. Modules import lightly: what a
replica needs is imported by the replica.
"""

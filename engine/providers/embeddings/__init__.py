"""Embedders: text -> vectors. One module a library; the protocol is `engine.providers.base.Embedder`."""

"""Where companies, agents and journals are kept. `base` is the interface, `sqlite` the embedded default."""

from engine.store.base import Conflict, Store

__all__ = ["Conflict", "Store"]

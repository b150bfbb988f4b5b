"""The link between a media edge and a call actor: numbered, acknowledged, replayable. Sans-I/O.

Ray neither orders a burst of calls to an async actor nor reports a call to a dead one, so both directions
carry numbered items. An end keeps what it sent until the other end says that it is *settled*: received, and
no longer needed to bring a replacement to the same state. For a caller's speech that is when its turn stands
in the journal; until then the edge can tell the whole of it again to another actor.
"""

from engine.link.end import Batch, LinkEnd

__all__ = ["Batch", "LinkEnd"]

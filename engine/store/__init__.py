"""Where documents and journals are kept. `base` is the interface, `sqlite` the embedded default,
`mongo` for production; `open` chooses.
"""

from engine.store.base import Conflict, Store, put_company
from engine.store.documents import Documents, Page, Stale, Taken

__all__ = ["Conflict", "Documents", "Page", "Stale", "Store", "Taken", "put_company"]

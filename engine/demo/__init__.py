"""The demo company: a dental clinic, what it knows and the agent that answers for it.

`garden.txt` is another trade's page with the same kinds of facts: exchange one for the other to see that the
agent knows nothing but what it is given.
"""

from __future__ import annotations

from importlib.resources import files

from engine.demo.agent import agent, company

__all__ = ["agent", "company", "knowledge"]


def knowledge(name: str = "clinic") -> str:
    """The text of a demo page: `clinic` or `garden`."""
    return files(__name__).joinpath(f"{name}.txt").read_text(encoding="utf-8")

"""Where model weights are kept on this machine, and how they get there."""

from __future__ import annotations

from pathlib import Path

from engine.config import settings
from engine.errors import WeightsError


def folder(name: str) -> Path:
    """The folder of the weights called `name`; raises WeightsError with the command that mends it."""
    path = settings().models_dir / name
    if not path.is_dir():
        raise WeightsError(f"weights '{name}' are missing: run `parley models pull {name}`")
    return path

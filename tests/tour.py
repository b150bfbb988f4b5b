"""Runs docs/tour.sh against a server, for tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TOUR_S = 300
"""Generous: this is no measurement."""


def run_tour(url: str, home: Path) -> None:
    """Fails with what the script printed."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environ = os.environ | {"PARLEY_API_URL": url, "HOME": str(home), "PATH": path}
    command = ["bash", str(ROOT / "docs" / "tour.sh")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=TOUR_S)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.rstrip().endswith("== That was the tour")

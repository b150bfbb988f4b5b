"""docs/tour.sh, as a new company runs it."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.site import Site
from tests.tour import run_tour


def test_the_tour(server: Site, tmp_path: Path) -> None:
    run_tour(server.url, tmp_path)

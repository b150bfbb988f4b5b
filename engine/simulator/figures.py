"""Percentiles by nearest rank, as every report of simulated calls gives them.

The p-th percentile is the smallest value such that at least p % of all values are not above it. It is always
a value that was measured, and p99 of fewer than 100 values is their maximum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], percent: float) -> float:
    """By nearest rank; `values` must not be empty."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(percent / 100 * len(ordered))) - 1]


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """n, p50, p95, p99 and max, to a tenth; None for no values."""
    if not values:
        return None
    figures = {f"p{percent}": round(percentile(values, percent), 1) for percent in (50, 95, 99)}
    return {"n": len(values), **figures, "max": round(max(values), 1)}

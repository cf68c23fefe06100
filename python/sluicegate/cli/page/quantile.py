"""Parts of a histogram."""

from __future__ import annotations


def quantile(bounds: tuple[float, ...], buckets: tuple[int, ...], part: float) -> float | None:
    """Seconds within which a part of the requests ended, by the histogram; None: there were none.

    Within a bucket they are taken to be spread evenly; what is above the last bound counts as that.
    """
    total = buckets[-1] if buckets else 0
    if not total:
        return None
    wanted, below, lower = part * total, 0, 0.0
    for bound, count in zip(bounds, buckets, strict=False):
        if count >= wanted:
            return lower + (bound - lower) * ((wanted - below) / (count - below)) if count > below else bound
        below, lower = count, bound
    return bounds[-1] if bounds else None

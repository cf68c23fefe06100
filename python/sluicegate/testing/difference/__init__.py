"""`sluicegate diff`: the same requests are asked of the tables of two sets of manifests.

`side` is one set, cut into data planes; `places` are the ports of both, with what holds there; `probes` makes requests
of what both say of a host, `seen` is what is compared of a decision, and `comparison` runs it and groups differences.
"""

from .comparison import MAX_PROBES, Change, Comparison, Difference, compare
from .seen import ASPECTS, Aspect
from .side import Side

__all__ = ["ASPECTS", "MAX_PROBES", "Aspect", "Change", "Comparison", "Difference", "Side", "compare"]

"""Manifests to a translation: the part of the pipeline that serve, check, explain, translate and `load` share."""

from sluicegate.checks import native_checks

from .findings import Finding, findings
from .live import Live, Step
from .offline import Offline, load_offline
from .source import Refresh, Source

__all__ = [
    "Finding",
    "Live",
    "Offline",
    "Refresh",
    "Source",
    "Step",
    "findings",
    "load_offline",
    "native_checks",
]

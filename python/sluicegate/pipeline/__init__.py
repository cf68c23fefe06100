"""Manifests to a translation: the part of the pipeline that serve, check, explain, translate and `load` share."""

from .checks import native_checks
from .offline import Offline, load_offline
from .source import Refresh, Source

__all__ = ["Offline", "Refresh", "Source", "load_offline", "native_checks"]

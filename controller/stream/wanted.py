"""What data planes should have, out of a translation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..translate import State, Translation
from ..translate.infrastructure.plane import DataPlane
from .plane import PlaneKey


class Wanted(NamedTuple):
    """What data planes should have.

    Attributes:
        state: the configuration of all.
        gateways: `<namespace>/<name>` of the Gateways of each plane, by (namespace, name) of its ServiceAccount.
    """

    state: State
    gateways: Mapping[PlaneKey, frozenset[str]]


class WantedOf:
    """What the data planes should have by a translation; the `select` of the stream's output."""

    def __init__(self) -> None:
        """Begin without data planes."""
        self._planes: Mapping[str, DataPlane] | None = None
        self._gateways: Mapping[PlaneKey, frozenset[str]] = {}

    def __call__(self, translation: Translation) -> Wanted:
        """Select it; planes that are the same have the same mapping of Gateways."""
        if self._planes is not translation.infrastructure:
            self._planes = translation.infrastructure
            self._gateways = {
                (plane.namespace, plane.name): frozenset(f"{key.namespace}/{key.name}" for key in plane.gateways)
                for plane in translation.infrastructure.values()
            }
        return Wanted(translation.ir, self._gateways)

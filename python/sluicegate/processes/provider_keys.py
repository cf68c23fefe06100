"""Identity providers whose keys an engine cannot fetch.

What counts is how its sets of keys are at each look, not what it told when something went wrong: that may be lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol


class KeySet(Protocol):
    """How a set of keys is, as the engine says (`KeySetState`)."""

    @property
    def source(self) -> str:
        """Who is asked, and for what."""

    @property
    def keys(self) -> int:
        """How many verify now."""

    @property
    def failures(self) -> int:
        """Fetches that have failed since one was good."""


class Away(NamedTuple):
    """A provider that is away; `verify`: keys that it gave before still verify tokens."""

    source: str
    verify: bool


class ProviderKeys:
    """What is known of providers that are away.

    Attributes:
        away: of those, in their order.
    """

    def __init__(self) -> None:
        """Nobody is away."""
        self.away: tuple[Away, ...] = ()

    def look(self, sets: Iterable[KeySet]) -> bool:
        """Take how the sets of keys are; returns whether others are away than before."""
        before = self.away
        self.away = tuple(sorted(Away(each.source, each.keys > 0) for each in sets if each.failures))
        return self.away != before

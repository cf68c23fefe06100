"""Identity providers whose keys an engine cannot fetch: what it tells when one goes, and its figures until it is back.

The figures count: what an engine tells may be lost, and providers are forgotten with the policies that name them.
"""

from __future__ import annotations

import re
from typing import NamedTuple

#: Codes of the engine: a provider is away for the first time in a row, and back.
GONE, BACK = "keys_unavailable", "keys_fetched"

_SUCCESSES = re.compile(
    r'^sluicegate_provider_key_fetches_total\{source="([^"]*)",outcome="success"\} (\d+)$', re.MULTILINE
)
_KEYS = re.compile(r'^sluicegate_provider_keys\{source="([^"]*)"\} (\d+)$', re.MULTILINE)


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
        #: How often they had given their keys when they were first seen away; None: not looked yet.
        self._successes: dict[str, int | None] = {}

    @property
    def is_any(self) -> bool:
        """Whether a provider may be away, so that a look is worth it."""
        return bool(self._successes)

    def hear(self, code: str, message: str) -> None:
        """Take something that the engine tells; it begins with the name of the source."""
        source = message.partition(": ")[0]
        if code == GONE:
            self._successes[source] = None
        elif code == BACK:
            self._successes.pop(source, None)

    def look(self, metrics: str) -> bool:
        """Take the figures of the engine; returns whether others are away than before."""
        fetched = {source: int(number) for source, number in _SUCCESSES.findall(metrics)}
        keys = {source: int(number) for source, number in _KEYS.findall(metrics)}
        for source, before in [*self._successes.items()]:
            now = fetched.get(source)
            # Fewer than before: it was forgotten meanwhile, and begins anew.
            if now is None or before not in {None, now}:
                del self._successes[source]
            else:
                self._successes[source] = now
        before_all = self.away
        self.away = tuple(Away(source, keys.get(source, 0) > 0) for source in sorted(self._successes))
        return self.away != before_all

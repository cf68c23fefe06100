"""How an endpoint is chosen.

Source: `loadbalancing`, `upstreamhashby` of `internal/ingress/annotations`; a key goes before an algorithm.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Balancing, Feature
from ...hash_keys import key_of
from ...reading import Reading

_SUBSET = ("upstream-hash-by-subset", "upstream-hash-by-subset-size")
#: Endpoints of a subset where nothing is written, and at most (BackendPolicy).
_SUBSET_SIZE, _MAX_SUBSET = 3, 8


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    key = reading.value("upstream-hash-by")
    if key is not None:
        parts = key_of(key.text)
        if parts:
            causes = (key.cause, *reading.causes(*_SUBSET))
            yield Balancing(causes=causes, kind="Hash", key=parts, subset=_subset(reading))
            return
        message = f"no key of {key.text} can be made: the endpoint with the fewest requests is chosen"
        remedy = "use $remote_addr, $host, $http_NAME, $cookie_NAME or $arg_NAME, four at most"
        if "request_uri" in key.text or "$uri" in key.text:
            remedy += "; a path is no part of a key: $arg_NAME is, or give its path a Service of its own"
        reading.tell("upstream-hash-by", "no-equivalent", message, remedy)
        return
    for name in _SUBSET:
        reading.tell(name, "dropped-harmless", "without upstream-hash-by it never did anything", "take it out")
    written = reading.value("load-balance")
    if written is None and reading.settings.is_written("load-balance"):
        written = reading.settings.value("load-balance")
    if written is None:
        return
    if written.text == "ewma":
        yield Balancing(causes=(written.cause,), kind="PeakEwma")
    elif written.text == "round_robin":
        yield Balancing(causes=(written.cause,), kind="RoundRobin")
    else:
        message = f"there is no algorithm {written.text}: the endpoint with the fewest requests is chosen"
        reading.tell_of(written, "invalid", message, "write round_robin or ewma")


def _subset(reading: Reading) -> int:
    """Endpoints that a key chooses; 0: one."""
    if not reading.flag("upstream-hash-by-subset"):
        message = "without upstream-hash-by-subset it never did anything"
        reading.tell("upstream-hash-by-subset-size", "dropped-harmless", message, "take it out")
        return 0
    size = reading.number("upstream-hash-by-subset-size", _SUBSET_SIZE)
    if size > _MAX_SUBSET:
        message = f"a subset has {_MAX_SUBSET} endpoints at most: so many hold"
        reading.tell("upstream-hash-by-subset-size", "converted-with-difference", message)
    return min(size, _MAX_SUBSET) if size > 1 else 0

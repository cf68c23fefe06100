"""How an endpoint is chosen.

Source: `loadbalancing`, `upstreamhashby` of `internal/ingress/annotations`; a key goes before an algorithm.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...features import Balancing, Feature
from ...hash_keys import key_of
from ...reading import Reading


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    key = reading.value("upstream-hash-by")
    if key is not None:
        parts = key_of(key.text)
        if parts:
            yield Balancing(causes=(key.cause,), kind="Hash", key=parts)
            return
        message = f"no key of {key.text} can be made: the endpoint with the fewest requests is chosen"
        remedy = "use $remote_addr, $host, $http_NAME, $cookie_NAME or $arg_NAME, four at most"
        reading.tell("upstream-hash-by", "no-equivalent", message, remedy)
        return
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
        reading.tell("load-balance", "invalid", message, "write round_robin or ewma")

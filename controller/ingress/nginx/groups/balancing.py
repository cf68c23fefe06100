"""How an endpoint is chosen.

Source: `loadbalancing`, `upstreamhashby` of `internal/ingress/annotations`; a key goes before an algorithm.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...features import Balancing, Feature
from ...provider import Reading

#: Variables of nginx that are parts of a key.
_PARTS = {
    "$remote_addr": "client",
    "$binary_remote_addr": "client",
    "$the_real_ip": "client",
    "$host": "host",
    "$http_host": "host",
}
_PREFIXED = (("$http_", "header:"), ("$cookie_", "cookie:"), ("$arg_", "query:"))
_MAX_PARTS = 4
_VARIABLE = re.compile(r"\$\{?(\w+)\}?")


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    key = reading.value("upstream-hash-by")
    if key is not None:
        parts = tuple(dict.fromkeys(filter(None, (_part(f"${name}") for name in _VARIABLE.findall(key.text)))))
        rest = _VARIABLE.sub("", key.text).strip("-_:|,. /")
        if parts and not rest and len(parts) == len(set(_VARIABLE.findall(key.text))) and len(parts) <= _MAX_PARTS:
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


def _part(variable: str) -> str:
    """The part of a key that a variable is; empty: none."""
    if variable in _PARTS:
        return _PARTS[variable]
    for prefix, kind in _PREFIXED:
        name = variable.removeprefix(prefix)
        if name != variable:
            return f"{kind}{name.replace('_', '-') if kind == 'header:' else name}"
    return ""

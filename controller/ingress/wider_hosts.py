"""Hosts of a controller that asks rules one by one: what a host has no path for goes on to wider hosts.

Source: Traefik's routers (`pkg/muxer/http/mux.go`, `loadRouter` of its provider of Ingresses): of all rules that match
the one with the longest text goes first, a rule without a host matches any, and the default backend goes last.
A listener of the Gateway API has one host and does not go on to another, so its routes have the paths of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from .hosts import Host, Location

_DEFAULT = "spec.defaultBackend"
#: A location, and the host that it was written for.
_Written = tuple[str, Location]


def go_on(hosts: Mapping[str, Host]) -> None:
    """Give each host the paths of wider ones that its own leave free."""
    own = {name: [(name, item) for item in host.locations] for name, host in hosts.items()}
    for name, host in hosts.items():
        there = list(own[name])
        for wider in _wider(name):
            free = [item for item in own.get(wider, ()) if not _is_taken(there, item)]
            for _, location in free:
                host.put(replace(location))
            there += free


def before(host: str, exact: Location, prefix: Location) -> bool:
    """Whether a prefix of a host goes before a path of it, which is to say that its rule is no shorter."""
    return exact.path.startswith(prefix.path) and _length((host, prefix)) >= _length((host, exact))


def _wider(name: str) -> Iterator[str]:
    """Hosts that stand for a host too: the wildcard of its last labels, and all."""
    if name and not name.startswith("*."):
        yield f"*.{name.partition('.')[2]}"
    if name:
        yield ""


def _is_taken(there: Iterable[_Written], other: _Written) -> bool:
    """Whether a path is there, or one that is takes all that it would."""
    _, location = other
    return any(
        (item.path, item.kind) == (location.path, location.kind)
        or (item.kind == "Prefix" and location.path.startswith(item.path) and _length((host, item)) >= _length(other))
        for host, item in there
    )


def _length(written: _Written) -> int:
    """Characters of a rule, which are its rank."""
    host, location = written
    if location.cause.subject == _DEFAULT:
        return 0
    matcher = "Path" if location.kind == "Exact" else "PathPrefix"
    return len(f'Host("{host}") && ' if host else "") + len(f'{matcher}("{location.path}")')

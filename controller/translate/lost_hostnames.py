"""Hostnames of routes whose requests, or connections, go to listeners that the routes are not attached to.

Of the listeners of a socket the one with the most specific hostname takes what comes (ARCHITECTURE.md, "3. Listener"),
and no other is tried: a route of a broader one gets none of it, however well its hostname fits. `check` tells that.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sluicegate import ir

from ..api import Diagnostic
from .values import covering_wildcards, hostnames_intersect

#: Losses that one route is told of: it may have 16 hostnames at 2,048 listeners.
MAX_LOSSES = 4

_P = ir.ListenerProtocol
#: Protocols of listeners that are told apart by hostname; those of TLS share sockets.
_APART = {_P.HTTP: "HTTP", _P.HTTPS: "TLS", _P.TLS: "TLS"}
_Rule = ir.HttpRule | ir.L4Rule


class _Loss(NamedTuple):
    """A hostname of a route, and the listener that has it, or, unless it is `whole`, some of it."""

    hostname: str
    listener: ir.Listener
    whole: bool


class _Socket:
    """The listeners of one socket, by hostname."""

    def __init__(self) -> None:
        self.by_hostname: dict[str, ir.Listener] = {}
        self._backwards: list[tuple[str, ir.Listener]] = []

    def sort(self) -> None:
        """Get ready to be asked."""
        found = ((name[::-1], item) for name, item in self.by_hostname.items() if name)
        self._backwards = sorted(found, key=lambda item: item[0])

    def taker(self, hostname: str) -> ir.Listener | None:
        """The listener that takes a hostname: of a wildcard what no narrower one takes."""
        names = (hostname, *covering_wildcards(hostname))
        return next((self.by_hostname[name] for name in names if name in self.by_hostname), None)

    def narrower(self, wildcard: str) -> Iterator[ir.Listener]:
        """Listeners that take a part of a wildcard."""
        end = wildcard[1:][::-1]
        for name, listener in self._backwards[bisect.bisect_left(self._backwards, end, key=lambda item: item[0]) :]:
            if not name.startswith(end):
                return
            if listener.hostname != wildcard:
                yield listener


def lost_hostnames(
    listeners: Mapping[str, ir.Listener], rules: Iterable[_Rule], attachments: Mapping[str, ir.Attachment]
) -> Iterator[Diagnostic]:
    """Tell of hostnames that routes lose.

    Args:
        listeners: by id.
        rules: of all routes; those of one route have the same hostnames and listeners.
        attachments: by id.
    """
    sockets = _sockets(listeners.values())
    for rule in {rule.route: rule for rule in rules if rule.hostnames}.values():
        own = [listeners[name] for name in ir.listeners_of(rule, attachments) if name in listeners]
        losses = dict.fromkeys(_losses(rule, own, sockets))
        for number, loss in enumerate(losses):
            if number == MAX_LOSSES:
                break
            yield _told(rule.route, loss)


def _sockets(listeners: Iterable[ir.Listener]) -> dict[tuple[str, str, int], _Socket]:
    sockets: dict[tuple[str, str, int], _Socket] = {}
    for listener in listeners:
        for key in _keys(listener):
            sockets.setdefault(key, _Socket()).by_hostname.setdefault(listener.hostname, listener)
    for socket in sockets.values():
        socket.sort()
    return sockets


def _keys(listener: ir.Listener) -> Iterator[tuple[str, str, int]]:
    """Sockets of a listener."""
    apart = _APART.get(listener.protocol)
    if apart is not None:
        for address in listener.addresses or ("",):
            yield apart, address, listener.bind_port


def _losses(rule: _Rule, own: list[ir.Listener], sockets: Mapping[tuple[str, str, int], _Socket]) -> Iterator[_Loss]:
    ids = {item.id for item in own}
    for hostname in rule.hostnames:
        for listener in own:
            if not hostnames_intersect(listener.hostname, hostname):
                continue
            common = listener.hostname if hostname in covering_wildcards(listener.hostname) else hostname
            for socket in (sockets[key] for key in _keys(listener)):
                taker = socket.taker(common)
                if taker is not None and taker.id not in ids:
                    yield _Loss(hostname, taker, whole=True)
                elif common.startswith("*."):
                    for part in socket.narrower(common):
                        if part.id not in ids:
                            yield _Loss(hostname, part, whole=False)


def _told(route: str, loss: _Loss) -> Diagnostic:
    listener, hostname = loss.listener, loss.hostname
    of = f"{listener.id}, whose hostname {listener.hostname} is more specific"
    if loss.whole:
        message = f"what comes for {hostname} at port {listener.port} goes to {of}: this route gets none of it"
    else:
        message = f"of {hostname} at port {listener.port}, what comes for {listener.hostname} goes to {listener.id}"
    return Diagnostic(
        severity="warning" if loss.whole else "info",
        object=route,
        field="spec.hostnames",
        code="shadowed-route",
        message=message,
        remedy="attach the route to that listener as well, or give it other hostnames",
    )

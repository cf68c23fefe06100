"""Rules of TLSRoutes, TCPRoutes and UDPRoutes."""

from __future__ import annotations

from .base import Base, Signed64, Unsigned32
from .http import WeightedBackend

__all__ = [
    "L4Rule",
]


class L4Rule(Base, frozen=True, kw_only=True):
    """One of the `spec.rules[]` of a TLSRoute, TCPRoute or UDPRoute, validated and resolved.

    Attributes:
        id: `TLSRoute/<namespace>/<name>/<rule index>`; likewise for TCPRoute and UDPRoute.
        route: `TLSRoute/<namespace>/<name>`; likewise for TCPRoute and UDPRoute.
        name: `rules[].name`.
        created: seconds since 1970, 0 where unknown; the older route wins a tie.
        index: place of the rule in its route; the first wins a tie.
        listeners: ids of listeners that the route is attached to.
        attachments: ids; the route is attached to their listeners too.
        hostnames: of a TLSRoute, lower case, compared with the SNI. Empty: any.
        backends: in the order written, without filters.
        policies: ids, of its route and itself, in the order in which they act.
    """

    id: str
    route: str
    name: str = ""
    created: Signed64 = 0
    index: Unsigned32
    listeners: tuple[str, ...] = ()
    attachments: tuple[str, ...] = ()
    hostnames: tuple[str, ...] = ()
    backends: tuple[WeightedBackend, ...] = ()
    policies: tuple[str, ...] = ()

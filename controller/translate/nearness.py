"""Whose traffic should go to an endpoint: `Service.spec.trafficDistribution`, and the hints of EndpointSlices.

As kube-proxy has it (KEP-4444, KEP-3015): hints are followed where every endpoint that takes traffic has one, whatever
made them. Where there are none, as outside a cluster, what the Service asks for is worked out from the zones and nodes
of the endpoints. What is not near still serves where nothing near does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, TypeAlias

from ..api import SliceEndpoint

#: Values of `trafficDistribution`: near is a zone (PreferClose is its old name), or a node and then its zone.
NEAR_ZONE = frozenset({"PreferClose", "PreferSameZone"})
NEAR_NODE = "PreferSameNode"


class Nearness(NamedTuple):
    """Zones and nodes whose traffic should go to an endpoint; both empty: everybody's."""

    zones: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


#: Says it of one endpoint.
NearnessRule: TypeAlias = Callable[[SliceEndpoint], Nearness]


def nearness_rule(distribution: str, endpoints: Iterable[SliceEndpoint]) -> NearnessRule:
    """What holds for the endpoints of a Service; `endpoints`: all that take traffic."""
    found = iter(endpoints)
    first = next(found, None)
    if first is not None and _is_hinted(first) and all(map(_is_hinted, found)):
        return _of_hints
    if distribution == NEAR_NODE:
        return lambda endpoint: Nearness(_given(endpoint.zone), _given(endpoint.node_name))
    if distribution in NEAR_ZONE:
        return lambda endpoint: Nearness(_given(endpoint.zone))
    return lambda _: Nearness()


def _is_hinted(endpoint: SliceEndpoint) -> bool:
    return endpoint.hints is not None and bool(endpoint.hints.for_zones or endpoint.hints.for_nodes)


def _of_hints(endpoint: SliceEndpoint) -> Nearness:
    if endpoint.hints is None:
        return Nearness()
    of = (endpoint.hints.for_zones, endpoint.hints.for_nodes)
    return Nearness(*(tuple(hint.name for hint in hints if hint.name) for hints in of))


def _given(name: str) -> tuple[str, ...]:
    return (name,) if name else ()

"""TLSRoute, TCPRoute and UDPRoute (`gateway.networking.k8s.io`): connections and datagrams as they are."""

from __future__ import annotations

from typing import ClassVar

from .meta import Model, Object
from .route import CommonRouteSpec, WeightedBackendReference


class L4RouteRule(Model, frozen=True, kw_only=True):
    """`spec.rules[]`."""

    name: str = ""
    backend_refs: tuple[WeightedBackendReference, ...] = ()


class TLSRouteSpec(CommonRouteSpec, frozen=True, kw_only=True):
    """`TLSRoute.spec`; the hostnames are those of the ClientHello (SNI)."""

    hostnames: tuple[str, ...] = ()
    rules: tuple[L4RouteRule, ...] = ()


class L4RouteSpec(CommonRouteSpec, frozen=True, kw_only=True):
    """`TCPRoute.spec` and `UDPRoute.spec`."""

    hostnames: ClassVar[tuple[str, ...]] = ()
    rules: tuple[L4RouteRule, ...] = ()


class TLSRoute(Object, frozen=True, kw_only=True):
    """TLS connections by SNI, passed through or terminated."""

    spec: TLSRouteSpec


class TCPRoute(Object, frozen=True, kw_only=True):
    """TCP connections of a listener."""

    spec: L4RouteSpec


class UDPRoute(Object, frozen=True, kw_only=True):
    """Datagrams of a listener."""

    spec: L4RouteSpec

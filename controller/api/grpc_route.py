"""GRPCRoute (`gateway.networking.k8s.io`), with the API's defaults."""

from __future__ import annotations

from .meta import Model, Object
from .route import CommonRouteSpec, HTTPBackendReference, NameValueMatch, RouteFilter, SessionPersistence


class GRPCMethodMatch(Model, frozen=True, kw_only=True):
    """`matches[].method`; an empty or absent part holds for any."""

    type: str = "Exact"
    service: str = ""
    method: str = ""


class GRPCRouteMatch(Model, frozen=True, kw_only=True):
    """`matches[]`."""

    method: GRPCMethodMatch = GRPCMethodMatch()
    headers: tuple[NameValueMatch, ...] = ()


class GRPCRouteRule(Model, frozen=True, kw_only=True):
    """`GRPCRoute.spec.rules[]`; without matches every gRPC request."""

    name: str = ""
    matches: tuple[GRPCRouteMatch, ...] = ()
    filters: tuple[RouteFilter, ...] = ()
    backend_refs: tuple[HTTPBackendReference, ...] = ()
    session_persistence: SessionPersistence | None = None


class GRPCRouteSpec(CommonRouteSpec, frozen=True, kw_only=True):
    """`GRPCRoute.spec`."""

    hostnames: tuple[str, ...] = ()
    rules: tuple[GRPCRouteRule, ...] = ()


class GRPCRoute(Object, frozen=True, kw_only=True):
    """Rules that forward gRPC requests to Services."""

    spec: GRPCRouteSpec

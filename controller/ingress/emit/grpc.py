"""GRPCRoutes: for hosts of which all paths are those of gRPC services."""

from __future__ import annotations

import re
from typing import Any

from ..features import (
    Answer,
    AppRoot,
    CollectBody,
    Cors,
    ErrorPages,
    Feature,
    PathEdit,
    Protocol,
    Redirect,
    ResponseRewrite,
    Rewrite,
    UpstreamHost,
)
from ..hosts import Host, Location
from ..losses import Cause
from .output import Output
from .rules import RuleDraft

_PATH = re.compile(r"/(?:(?P<service>[A-Za-z_][\w.]*)/?(?P<method>[A-Za-z_]\w*)?)?", re.ASCII)
#: What a GRPCRoute has no place for.
_HTTP_ONLY: tuple[type[Feature], ...] = (
    Answer,
    AppRoot,
    CollectBody,
    Cors,
    ErrorPages,
    PathEdit,
    Redirect,
    ResponseRewrite,
    Rewrite,
    UpstreamHost,
)


def grpc_methods(host: Host, output: Output) -> bool:
    """Whether a host is one of gRPC as a whole; else backends need a word on their Services, which is told."""
    found = [item for item in host.locations if item.backend is not None]
    protocols = [_protocol(item) for item in found]
    if not any(protocols):
        return False
    fits = all(protocols) and host.regex is None and all(map(_fits, found))
    if not fits:
        for protocol in protocols:
            if protocol is not None:
                message = "a route of HTTP serves the host, and speaks to the Service as its port says"
                remedy = "set `appProtocol: kubernetes.io/h2c` of the Service's port"
                output.ledger.tell(protocol, "converted-with-difference", message, remedy, host=host.name)
    return fits


def _protocol(location: Location) -> Cause | None:
    """What makes the backend of a location one of gRPC; None: it is none."""
    feature = location.features.get(Protocol)
    return feature.cause if feature is not None and is_grpc(location) else None


def is_grpc(location: Location) -> bool:
    """Whether the backend of a location is one of gRPC."""
    feature = location.features.get(Protocol)
    return feature is not None and feature.name in {"GRPC", "GRPCS"}


def _fits(location: Location) -> bool:
    return _PATH.fullmatch(location.path) is not None and all(
        location.features.get(kind) is None for kind in _HTTP_ONLY
    )


def as_grpc(rule: RuleDraft) -> dict[str, Any]:
    """A rule as a GRPCRoute has it."""
    document = rule.document()
    found = _PATH.fullmatch(rule.match["path"]["value"])
    match: dict[str, Any] = {}
    if found is not None and found["service"]:
        match["method"] = {"service": found["service"], **({"method": found["method"]} if found["method"] else {})}
    if "headers" in rule.match:
        match["headers"] = rule.match["headers"]
    del document["matches"]
    document.pop("retry", None)
    return {**({"matches": [match]} if match else {}), **document}

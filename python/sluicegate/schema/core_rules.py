"""What the API server asks of Kubernetes' own kinds beyond their types, as far as it matters to a gateway.

These rules are Go code there and in no schema. Source: `ValidateService`, `ValidateSecret` and `ValidateConfigMap` of
`pkg/apis/core/validation`, `ValidateEndpointSlice` of `pkg/apis/discovery/validation`. Messages never quote a Secret.
Left out on purpose: an endpoint on a loopback address, which files of a test have and no cluster could use.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

#: Field, message and remedy; see `Diagnostic`.
Said = tuple[str, str, str]

MAX_PORT = 65_535
#: Of one endpoint.
MAX_ADDRESSES = 100
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_FAMILIES: dict[str, Callable[[str], object]] = {
    "IPv4": ipaddress.IPv4Address,
    "IPv6": ipaddress.IPv6Address,
    "FQDN": str,
}
TLS_TYPE = "kubernetes.io/tls"


def core_rules(kind: str, body: dict[str, Any]) -> Iterator[Said]:
    """Say what rules of a kind of Kubernetes do not hold.

    Args:
        kind: the kind.
        body: the object without metadata, its structure already found to be right.
    """
    rules = _RULES.get(kind)
    if rules is not None:
        yield from rules(body)


def _service(body: dict[str, Any]) -> Iterator[Said]:
    spec = body.get("spec", {})
    kind = spec.get("type") or "ClusterIP"
    yield from _one_of("spec.type", kind, _TYPES)
    ports = spec.get("ports", [])
    if not ports and kind != "ExternalName" and spec.get("clusterIP") != "None":
        yield "spec.ports", "required, unless the Service is headless or of type ExternalName", ""
    if kind == "ExternalName" and not spec.get("externalName"):
        yield "spec.externalName", "required: the Service is of type ExternalName", ""
    seen: dict[tuple[object, object], int] = {}
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        number, protocol = port["port"], port.get("protocol") or "TCP"
        if len(ports) > 1 and not port.get("name"):
            yield f"{path}.name", "required: the Service has several ports", ""
        if not 0 < number <= MAX_PORT:
            yield f"{path}.port", f"{number} is no port: 1 to {MAX_PORT}", ""
        yield from _one_of(f"{path}.protocol", protocol, _PROTOCOLS)
        first = seen.setdefault((number, protocol), index)
        if first != index:
            yield path, f"duplicate: port {number} of {protocol} is already at [{first}]", "remove one of the two"


def _endpoint_slice(body: dict[str, Any]) -> Iterator[Said]:
    family = body["addressType"]
    yield from _one_of("addressType", family, tuple(_FAMILIES))
    for index, endpoint in enumerate(body.get("endpoints", [])):
        path, addresses = f"endpoints[{index}].addresses", endpoint["addresses"]
        if not 0 < len(addresses) <= MAX_ADDRESSES:
            yield path, f"{len(addresses)} addresses: 1 to {MAX_ADDRESSES} are needed", ""
        for place, address in enumerate(addresses):
            try:
                _FAMILIES.get(family, str)(address)
            except ValueError:
                yield f"{path}[{place}]", f"{address!r} is no {family} address", ""
    for index, port in enumerate(body.get("ports", [])):
        yield from _one_of(f"ports[{index}].protocol", port.get("protocol") or "TCP", _PROTOCOLS)


def _secret(body: dict[str, Any]) -> Iterator[Said]:
    yield from _base64("data", body)
    if body.get("type") == TLS_TYPE:
        for key in ("tls.crt", "tls.key"):
            if key not in body.get("data", {}) and key not in body.get("stringData", {}):
                yield f'data["{key}"]', f"required: the Secret is of type {TLS_TYPE}", ""


def _config_map(body: dict[str, Any]) -> Iterator[Said]:
    yield from _base64("binaryData", body)


def _base64(field: str, body: dict[str, Any]) -> Iterator[Said]:
    for key, text in body.get(field, {}).items():
        try:
            base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            remedy = "encode it, or move it to stringData" if field == "data" else "encode it, or move it to data"
            yield f'{field}["{key}"]', "not base64", remedy


def _one_of(field: str, value: str, allowed: tuple[str, ...]) -> Iterator[Said]:
    if value not in allowed:
        near = difflib.get_close_matches(value, allowed, 1)
        yield field, f'"{value}" is not supported: {", ".join(allowed)}', f"did you mean {near[0]}?" if near else ""


_RULES: dict[str, Callable[[dict[str, Any]], Iterator[Said]]] = {
    "Service": _service,
    "EndpointSlice": _endpoint_slice,
    "Secret": _secret,
    "ConfigMap": _config_map,
}

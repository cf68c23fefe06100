"""What the API server asks of Services and EndpointSlices beyond their types.

Source: `ValidateService` of `pkg/apis/core/validation`, `ValidateEndpointSlice` of `pkg/apis/discovery/validation`.
Left out: an endpoint on a loopback address, which files of a test have and no cluster could use; and what depends on
the cluster, such as its range of addresses and of node ports, and which of them are taken.
"""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Iterator
from typing import Any

from sluicegate.controller.api.names import is_label, is_port_name, is_qualified, is_subdomain

from .metadata import label_rules

#: Field, message and remedy; see `Diagnostic`.
Said = tuple[str, str, str]

MAX_PORT = 65_535
#: Of one endpoint, and of one slice.
MAX_ADDRESSES, MAX_ENDPOINTS, MAX_PORTS = 100, 1_000, 20_000
#: Seconds that clients stay with a pod (`sessionAffinityConfig`).
MAX_AFFINITY = 86_400
_TYPES = ("ClusterIP", "NodePort", "LoadBalancer", "ExternalName")
_PROTOCOLS = ("TCP", "UDP", "SCTP")
_VERSIONS = {"IPv4": 4, "IPv6": 6}
_POLICIES = ("SingleStack", "PreferDualStack", "RequireDualStack")
_DISTRIBUTIONS = ("PreferClose", "PreferSameZone", "PreferSameNode")


def service(body: dict[str, Any]) -> Iterator[Said]:
    """Say what rules of a Service do not hold."""
    spec = body.get("spec", {})
    kind = spec.get("type") or "ClusterIP"
    yield from one_of("spec.type", kind, _TYPES)
    ports = spec.get("ports", [])
    headless = spec.get("clusterIP") == "None"
    if not ports and kind != "ExternalName" and not headless:
        yield "spec.ports", "required, unless the Service is headless or of type ExternalName", ""
    if kind == "ExternalName":
        yield from _external_name(spec)
    elif kind == "LoadBalancer" and headless:
        yield "spec.clusterIP", "a Service of type LoadBalancer cannot be headless", "leave it out"
    yield from label_rules("spec.selector", spec.get("selector", {}))
    seen: dict[tuple[object, object], int] = {}
    names: dict[str, int] = {}
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        yield from _service_port(path, port, kind, several=len(ports) > 1)
        number, protocol, name = port.get("port", 0), port.get("protocol") or "TCP", port.get("name", "")
        first = seen.setdefault((number, protocol), index)
        if first != index:
            yield path, f"duplicate: port {number} of {protocol} is already at [{first}]", "remove one of the two"
        if name and names.setdefault(name, index) != index:
            yield f"{path}.name", f"duplicate: {name} is already at [{names[name]}]", "give it another name"
    yield from _affinity(spec)
    yield from _addresses(spec, kind)
    yield from _policies(spec, kind)


def _service_port(path: str, port: dict[str, Any], kind: str, *, several: bool) -> Iterator[Said]:
    name, number = port.get("name", ""), port.get("port", 0)
    if several and not name:
        yield f"{path}.name", "required: the Service has several ports", ""
    if name and not is_label(name):
        yield f"{path}.name", f"{name!r} is no DNS label (RFC 1123)", "use lower-case letters, digits and -"
    yield from _port(f"{path}.port", number)
    target = port.get("targetPort") or number
    if isinstance(target, str):
        if not is_port_name(target):
            remedy = "at most 15 lower-case letters, digits and single -, one of them a letter"
            yield f"{path}.targetPort", f"{target!r} is no name of a port", remedy
    elif "targetPort" in port:
        yield from _port(f"{path}.targetPort", target)
    if port.get("nodePort") and kind == "ClusterIP":
        yield f"{path}.nodePort", "not allowed: the Service is of type ClusterIP", "remove it, or set type: NodePort"
    yield from _protocol(path, port)


def _external_name(spec: dict[str, Any]) -> Iterator[Said]:
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        yield "spec.externalName", "required: the Service is of type ExternalName", ""
    elif not is_subdomain(name):
        yield "spec.externalName", f"{name!r} is no DNS subdomain (RFC 1123)", "use lower-case letters, digits, - and ."
    for field in ("clusterIP", "clusterIPs"):
        if spec.get(field):
            yield f"spec.{field}", "not allowed: the Service is of type ExternalName", "remove it"


def _affinity(spec: dict[str, Any]) -> Iterator[Said]:
    kind = spec.get("sessionAffinity") or "None"
    yield from one_of("spec.sessionAffinity", kind, ("ClientIP", "None"))
    # Without affinity the settings are dropped; without a time there is one by default.
    seconds = spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds", MAX_AFFINITY)
    if kind == "ClientIP" and not 0 < seconds <= MAX_AFFINITY:
        where = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
        yield where, f"{seconds} is not in the range 1 to {MAX_AFFINITY}", ""


def _addresses(spec: dict[str, Any], kind: str) -> Iterator[Said]:
    for index, text in enumerate(spec.get("externalIPs", [])):
        address = _address(text)
        if address is None:
            yield f"spec.externalIPs[{index}]", f"{text!r} is not an IP address", ""
        elif address.is_unspecified or address.is_loopback or address.is_link_local or address.is_multicast:
            yield f"spec.externalIPs[{index}]", f"{text} is an address of a special kind", ""
    ranges = spec.get("loadBalancerSourceRanges", [])
    if ranges and kind != "LoadBalancer":
        yield "spec.loadBalancerSourceRanges", "only a Service of type LoadBalancer may have them", "remove them"
    for index, text in enumerate(ranges if kind == "LoadBalancer" else []):
        if not _is_range(text.strip()):
            yield f"spec.loadBalancerSourceRanges[{index}]", f"{text!r} is no range such as 10.0.0.0/8", ""
    own = spec.get("clusterIPs", [])
    first = spec.get("clusterIP", "")
    if own and not first:
        yield "spec.clusterIPs", "must be empty where clusterIP is not set", "set clusterIP, or leave both out"
    elif own and own[0] != first:
        yield "spec.clusterIPs[0]", f"must be clusterIP, {first}", ""
    families = spec.get("ipFamilies", [])
    for index, text in enumerate(own or ([first] if first else [])):
        if text == "None":
            continue
        address = _address(text)
        if address is None:
            yield f"spec.clusterIPs[{index}]", f"{text!r} is not an IP address", ""
        elif index < len(families) and _VERSIONS.get(families[index], address.version) != address.version:
            yield f"spec.clusterIPs[{index}]", f"{text} is no {families[index]} address", "change ipFamilies"


def _policies(spec: dict[str, Any], kind: str) -> Iterator[Said]:
    families = spec.get("ipFamilies", [])
    for index, family in enumerate(families):
        yield from one_of(f"spec.ipFamilies[{index}]", family, tuple(_VERSIONS))
        if family in families[:index]:
            yield f"spec.ipFamilies[{index}]", f"duplicate: {family}", "remove one of the two"
    if spec.get("ipFamilyPolicy") is not None:
        yield from one_of("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], _POLICIES)
    outside = kind in {"NodePort", "LoadBalancer"} or bool(spec.get("externalIPs"))
    external = spec.get("externalTrafficPolicy", "")
    if external and not outside:
        yield "spec.externalTrafficPolicy", "only for Services that are reached from outside", "remove it"
    elif external:
        yield from one_of("spec.externalTrafficPolicy", external, ("Cluster", "Local"))
    if spec.get("healthCheckNodePort") and not (kind == "LoadBalancer" and external == "Local"):
        yield "spec.healthCheckNodePort", "only with type LoadBalancer and externalTrafficPolicy Local", "remove it"
    if spec.get("internalTrafficPolicy") is not None:
        yield from one_of("spec.internalTrafficPolicy", spec["internalTrafficPolicy"], ("Cluster", "Local"))
    if spec.get("trafficDistribution") is not None:
        yield from one_of("spec.trafficDistribution", spec["trafficDistribution"], _DISTRIBUTIONS)
    if kind != "LoadBalancer":
        for field in ("loadBalancerClass", "allocateLoadBalancerNodePorts"):
            if spec.get(field) is not None:
                yield f"spec.{field}", "only a Service of type LoadBalancer may have it", "remove it"
    elif spec.get("loadBalancerClass") is not None and not is_qualified(spec["loadBalancerClass"]):
        yield "spec.loadBalancerClass", f"{spec['loadBalancerClass']!r} is no qualified name", ""


def endpoint_slice(body: dict[str, Any]) -> Iterator[Said]:
    """Say what rules of an EndpointSlice do not hold."""
    family = body["addressType"]
    yield from one_of("addressType", family, (*_VERSIONS, "FQDN"))
    endpoints, ports = body.get("endpoints", []), body.get("ports", [])
    if len(endpoints) > MAX_ENDPOINTS:
        yield "endpoints", f"{len(endpoints):,} items: at most {MAX_ENDPOINTS:,} are allowed", "split the slice"
    if len(ports) > MAX_PORTS:
        yield "ports", f"{len(ports):,} items: at most {MAX_PORTS:,} are allowed", "split the slice"
    for index, endpoint in enumerate(endpoints):
        path, addresses = f"endpoints[{index}].addresses", endpoint.get("addresses", [])
        if not 0 < len(addresses) <= MAX_ADDRESSES:
            yield path, f"{len(addresses)} addresses: 1 to {MAX_ADDRESSES} are needed", ""
        for place, address in enumerate(addresses):
            if not _is_address(address, family):
                yield f"{path}[{place}]", f"{address!r} is no {family} address", ""
        name = endpoint.get("hostname")
        if name is not None and not is_label(name):
            yield f"endpoints[{index}].hostname", f"{name!r} is no DNS label (RFC 1123)", ""
        node = endpoint.get("nodeName")
        if node is not None and not is_subdomain(node):
            yield f"endpoints[{index}].nodeName", f"{node!r} is no DNS subdomain (RFC 1123)", ""
        yield from label_rules(f"endpoints[{index}].deprecatedTopology", endpoint.get("deprecatedTopology", {}))
    names: dict[str, int] = {}
    for index, port in enumerate(ports):
        name = port.get("name", "")
        if name and not is_label(name):
            yield f"ports[{index}].name", f"{name!r} is no DNS label (RFC 1123)", "use lower-case letters, digits and -"
        if names.setdefault(name, index) != index:
            yield f"ports[{index}].name", f"duplicate: {name!r} is already at [{names[name]}]", "give it another name"
        yield from _protocol(f"ports[{index}]", port)


def _protocol(path: str, port: dict[str, Any]) -> Iterator[Said]:
    yield from one_of(f"{path}.protocol", port.get("protocol") or "TCP", _PROTOCOLS)
    protocol = port.get("appProtocol")
    if protocol is not None and not is_qualified(protocol):
        yield f"{path}.appProtocol", f"{protocol!r} is no qualified name", "such as http or kubernetes.io/h2c"


def _port(path: str, number: int) -> Iterator[Said]:
    if not 0 < number <= MAX_PORT:
        yield path, f"{number} is no port: 1 to {MAX_PORT}", ""


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_address(text: str, family: str) -> bool:
    if family not in _VERSIONS:
        name = text.removesuffix(".")
        return family != "FQDN" or ("." in name and is_subdomain(name))
    address = _address(text)
    # Slices are for programs: an address has one form (`fd00::1`, not `FD00::1`).
    return address is not None and address.version == _VERSIONS[family] and str(address) == text


def _is_range(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text


def one_of(field: str, value: str, allowed: tuple[str, ...]) -> Iterator[Said]:
    """Say where a value is none of those that are supported."""
    if value not in allowed:
        near = difflib.get_close_matches(value, allowed, 1)
        yield field, f'"{value}" is not supported: {", ".join(allowed)}', f"did you mean {near[0]}?" if near else ""

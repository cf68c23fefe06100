"""Manifests for tests, as dictionaries: only what a test is about has to be written."""

from __future__ import annotations

import base64
from typing import Any

import yaml

GROUP = "gateway.networking.k8s.io/v1"
Manifest = dict[str, Any]


def dump(*objects: Manifest) -> str:
    return yaml.safe_dump_all(objects, sort_keys=False)


def metadata(name: str, namespace: str = "default", **rest: Any) -> Manifest:
    return {"name": name, "namespace": namespace, **rest}


def listener(name: str = "http", port: int = 8080, protocol: str = "HTTP", **rest: Any) -> Manifest:
    return {"name": name, "port": port, "protocol": protocol, **rest}


def https(name: str = "https", port: int = 8443, secret: str = "certificate", **rest: Any) -> Manifest:
    tls = {"certificateRefs": [{"name": secret}], **rest.pop("tls", {})}
    return listener(name, port, "HTTPS", tls=tls, **rest)


def gateway(*listeners: Manifest, name: str = "gateway", **spec: Any) -> Manifest:
    return {
        "apiVersion": GROUP,
        "kind": "Gateway",
        "metadata": metadata(name),
        "spec": {"gatewayClassName": "sluicegate", "listeners": list(listeners) or [listener()], **spec},
    }


def route(*rules: Manifest, name: str = "route", parents: list[Manifest] | None = None, **spec: Any) -> Manifest:
    return {
        "apiVersion": GROUP,
        "kind": "HTTPRoute",
        "metadata": metadata(name),
        "spec": {"parentRefs": parents or [{"name": "gateway"}], **spec, "rules": list(rules)},
    }


def rule(path: str = "/", *backends: str | Manifest, kind: str = "PathPrefix", **rest: Any) -> Manifest:
    matches = rest.pop("matches", [{"path": {"type": kind, "value": path}}])
    references = [backend(item) if isinstance(item, str) else item for item in backends]
    return {"matches": matches, **({"backendRefs": references} if references else {}), **rest}


def grpc_route(*rules: Manifest, name: str = "route", parents: list[Manifest] | None = None, **spec: Any) -> Manifest:
    return {**route(*rules, name=name, parents=parents, **spec), "kind": "GRPCRoute"}


def grpc_rule(*backends: str | Manifest, **rest: Any) -> Manifest:
    """A rule of a GRPCRoute; without `matches` it takes every call."""
    references = [backend(item) if isinstance(item, str) else item for item in backends]
    return {**({"backendRefs": references} if references else {}), **rest}


def backend(name: str, port: int = 80, **rest: Any) -> Manifest:
    return {"name": name, "port": port, **rest}


def service(name: str, *addresses: tuple[str, int], protocol: str | None = None, **rest: Any) -> list[Manifest]:
    """A Service on port 80 with an EndpointSlice for each of its addresses; `rest`: endpoint conditions."""
    port: Manifest = {"port": 80} | ({"appProtocol": protocol} if protocol else {})
    slices: list[Manifest] = [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata(f"{name}-{index}", labels={"kubernetes.io/service-name": name}),
            "addressType": "IPv6" if ":" in address else "IPv4",
            "endpoints": [{"addresses": [address], **({"conditions": rest} if rest else {})}],
            "ports": [{"port": number}],
        }
        for index, (address, number) in enumerate(addresses)
    ]
    return [{"apiVersion": "v1", "kind": "Service", "metadata": metadata(name), "spec": {"ports": [port]}}, *slices]


def secret(name: str, certificate: bytes, key: bytes, namespace: str = "default") -> Manifest:
    data = {"tls.crt": certificate, "tls.key": key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(name, namespace),
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def config_map(name: str, authority: bytes) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(name),
        "data": {"ca.crt": authority.decode()},
    }


def backend_tls_policy(name: str, service_name: str, hostname: str, authority: str, **validation: Any) -> Manifest:
    return {
        "apiVersion": GROUP,
        "kind": "BackendTLSPolicy",
        "metadata": metadata(name),
        "spec": {
            "targetRefs": [{"group": "", "kind": "Service", "name": service_name}],
            "validation": {
                "hostname": hostname,
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": authority}],
                **validation,
            },
        },
    }


def target(kind: str, name: str, section: str = "", group: str = "gateway.networking.k8s.io") -> Manifest:
    """One of a policy's `targetRefs`."""
    return {"group": group, "kind": kind, "name": name, **({"sectionName": section} if section else {})}


def policy(kind: str, name: str, *targets: Manifest, **spec: Any) -> Manifest:
    """A policy of ours."""
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": kind,
        "metadata": metadata(name),
        "spec": {"targetRefs": list(targets), **spec},
    }


def backend_policy(name: str, service_name: str, **spec: Any) -> Manifest:
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "BackendPolicy",
        "metadata": metadata(name),
        "spec": {"targetRefs": [{"group": "", "kind": "Service", "name": service_name}], **spec},
    }


def http_filter(name: str, **spec: Any) -> Manifest:
    """A filter of ours."""
    return {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "HTTPFilter",
        "metadata": metadata(name),
        "spec": spec,
    }


def by(*names: str) -> list[Manifest]:
    """`filters` that are HTTPFilters of these names."""
    return [
        {"type": "ExtensionRef", "extensionRef": {"group": "sluicegate.dev", "kind": "HTTPFilter", "name": name}}
        for name in names
    ]


def opaque(name: str, **values: str) -> Manifest:
    """A Secret of texts."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata(name), "type": "Opaque", "data": data}


def page_map(name: str, body: str) -> Manifest:
    """A ConfigMap with a body."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": {"response.body": body}}

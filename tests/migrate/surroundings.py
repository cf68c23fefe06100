"""What a cluster has besides the objects of a case, so that manifests can be asked: Services, endpoints, Secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from system_certificates import Pair

Document = dict[str, Any]
#: Where every endpoint is that nobody named an address for.
ADDRESS, PORT = "192.0.2.100", 8080


def surroundings(
    documents: Iterable[Document], pair: Pair, endpoints: dict[str, tuple[str, int]] | None = None
) -> Iterator[Document]:
    """Yield what manifests refer to and nobody has written.

    Args:
        documents: all that is written: manifests, and the objects that they were made of.
        pair: what every Secret of a certificate holds.
        endpoints: address and port of Services, by `namespace/name`; any other has `ADDRESS`.
    """
    found = [item for item in documents if item]
    written = {identity(item): item for item in found}
    services: dict[tuple[str, str], set[int]] = {}
    for item in found:
        namespace = item["metadata"].get("namespace", "default")
        for reference in _references(item):
            kind, name = reference.get("kind"), reference["name"]
            at = reference.get("namespace", namespace)
            if kind == "Secret" and ("Secret", at, name) not in written:
                yield _secret(at, name, pair)
                written["Secret", at, name] = {}
            elif kind == "Service":
                services.setdefault((at, name), set()).add(reference["port"])
    for (namespace, name), ports in sorted(services.items()):
        known = written.get(("Service", namespace, name))
        if known is None:
            yield _service(namespace, name, ports)
        address, port = (endpoints or {}).get(f"{namespace}/{name}", (ADDRESS, PORT))
        yield _slice(namespace, name, known, ports, address, port)


def identity(item: Document) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    return item["kind"], item["metadata"].get("namespace", "default"), item["metadata"]["name"]


def _references(value: Any) -> Iterator[Document]:
    """Every reference to a Service or the Secret of a certificate, wherever it stands in a manifest."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
        return
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "certificateRefs":
            yield from ({"kind": "Secret", **each} for each in item)
        elif key in {"backendRef", "backendRefs"}:
            each_of = item if isinstance(item, list) else [item]
            yield from ({"kind": "Service", **each} for each in each_of if "port" in each)
            yield from _references(each_of)
        else:
            yield from _references(item)


def _secret(namespace: str, name: str, pair: Pair) -> Document:
    data = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "stringData": data}


def _service(namespace: str, name: str, ports: Iterable[int]) -> Document:
    entries = [{"name": f"port-{port}", "port": port} for port in sorted(ports)]
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": entries}}


def _slice(
    namespace: str, name: str, service: Document | None, ports: Iterable[int], address: str, port: int
) -> Document:
    entries = service["spec"]["ports"] if service is not None else [{"name": f"port-{each}"} for each in sorted(ports)]
    names = [entry.get("name", "") for entry in entries if entry.get("protocol", "TCP") == "TCP"]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{name}-1",
            "namespace": namespace,
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address]}],
        "ports": [{"name": each, "port": port} for each in names],
    }

"""What a cluster has besides the objects of a case, so that manifests can be asked: Services, endpoints, Secrets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from system_certificates import Pair

Document = dict[str, Any]
#: Where every endpoint is that nobody named an address for.
NOWHERE = ("192.0.2.100", 8080)
#: Of a file of passwords that is not given: nobody knows this one's.
USERS = "anna:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n"


def surroundings(
    documents: Iterable[Document],
    pair: Pair,
    endpoints: Mapping[str, tuple[str, int]] | None = None,
    users: str = USERS,
) -> Iterator[Document]:
    """Yield what manifests refer to and nobody has written.

    Args:
        documents: all that is written: manifests, and the objects that they were made of.
        pair: what every Secret of a certificate holds.
        endpoints: address and port, by `namespace/service:port`; any other Service is `NOWHERE`.
        users: what every Secret of passwords holds.
    """
    found = [item for item in documents if item]
    written = {identity(item): item for item in found}
    services: dict[tuple[str, str], set[int]] = {}
    secrets: dict[tuple[str, str], Document] = {}
    for item in found:
        own = item["metadata"].get("namespace", "default")
        for reference in _references(item):
            key = reference.get("namespace", own), reference["name"]
            if "port" in reference:
                services.setdefault(key, set()).add(reference["port"])
            elif reference.get("users") == "Keys":
                secrets[key] = {"stringData": dict(line.split(":", 1) for line in users.split())}
            elif "key" in reference:
                secrets[key] = {"stringData": {reference["key"]: users}}
            else:
                data = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
                secrets[key] = {"type": "kubernetes.io/tls", "stringData": data}
    for key, content in sorted(secrets.items()):
        if ("Secret", *key) not in written:
            yield _made("v1", "Secret", key, **content)
    for key, numbers in sorted(services.items()):
        known = written.get(("Service", *key))
        ports = (
            known["spec"]["ports"] if known else [{"name": f"port-{each}", "port": each} for each in sorted(numbers)]
        )
        ports = [item for item in ports if item.get("protocol", "TCP") == "TCP"]
        if known is None:
            yield _made("v1", "Service", key, spec={"ports": ports})
        yield from _slices(key, ports, endpoints or {})


def identity(item: Document) -> tuple[str, str, str]:
    """Kind, namespace and name."""
    return item["kind"], item["metadata"].get("namespace", "default"), item["metadata"]["name"]


def _references(value: Any) -> Iterator[Document]:
    """Every reference to a Service, passwords or a certificate, wherever it stands.

    A Service has a port, passwords have a key, or `users: Keys` where each user is one.
    """
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
        return
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "certificateRefs":
            yield from ({"name": each["name"], **_namespace(each)} for each in item)
        elif key == "secretRef":
            yield {"key": "auth", **item, **({"users": value["users"]} if "users" in value else {})}
        else:
            if key in {"backendRef", "backendRefs"}:
                yield from (each for each in (item if isinstance(item, list) else [item]) if "port" in each)
            yield from _references(item)


def _namespace(reference: Document) -> Document:
    return {"namespace": reference["namespace"]} if "namespace" in reference else {}


def _slices(
    key: tuple[str, str], ports: Iterable[Document], endpoints: Mapping[str, tuple[str, int]]
) -> Iterator[Document]:
    """One for each port, since each may be elsewhere."""
    namespace, name = key
    for port in ports:
        address, number = endpoints.get(f"{namespace}/{name}:{port['port']}", NOWHERE)
        yield _made(
            "discovery.k8s.io/v1",
            "EndpointSlice",
            (namespace, f"{name}-{port['port']}"),
            labels={"kubernetes.io/service-name": name},
            addressType="IPv4",
            endpoints=[{"addresses": [address]}],
            ports=[{"name": port.get("name", ""), "port": number}],
        )


def _made(version: str, kind: str, key: tuple[str, str], labels: dict[str, str] | None = None, **rest: Any) -> Document:
    metadata: Document = {"name": key[1], "namespace": key[0]} | ({"labels": labels} if labels else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}

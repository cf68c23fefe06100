"""What converted manifests name and nobody gave: a class, Services with an endpoint, certificates, passwords.

Rules:
- What is given is taken as it is, but for endpoints: every Service has one, as the model of the source has it.
- A Service that is not given has the ports that routes and policies ask for.
- Of a certificate nothing is looked at: it stands for one that is good. So does a file of passwords.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from sluicegate.checks import native_checks
from sluicegate.controller.api import Object, decode
from sluicegate.controller.ingress import Conversion, Inventory
from sluicegate.controller.store.store import Store
from sluicegate.controller.translate import (
    DEFAULT_CONTROLLER_NAME,
    CertificateFacts,
    Checks,
    Options,
    Translator,
    UsersFacts,
    ir_transaction,
)
from sluicegate.testing.table import Table

Document = dict[str, Any]
#: Of every endpoint (RFC 5737).
_ADDRESS = "192.0.2.1"
_SERVICE_LABEL = "kubernetes.io/service-name"
#: Ports of one Service that are asked for.
MAX_PORTS = 64
#: `anna` with a password that nobody knows: whoever is asked as her is taken to have proved it.
_USERS = base64.b64encode(b"anna:{SHA}2jmj7l5rSw0yVb/vlWAYkK/YBwk=\n").decode()
_PEM = base64.b64encode(b"stands for one that is good\n").decode()


def table_of(conversion: Conversion, inventory: Inventory) -> Table:
    """The table of converted manifests, as a gateway in their cluster would have it."""
    documents = [item.document for item in conversion.objects]
    store = Store()
    store.load([*map(decode, documents), *_world(documents, inventory)])
    options = Options(checks=_lenient())
    translation = Translator(DEFAULT_CONTROLLER_NAME, options).translate(store.snapshot())
    return Table(ir_transaction(None, translation.ir, 1))


def _lenient() -> Checks:
    """The checks of the engine, but for certificates and passwords, which are not here."""
    return dataclasses.replace(
        native_checks(),
        certificate=lambda _chain, _key: CertificateFacts(names=(), not_before=0, not_after=1 << 40),
        trust=lambda _pem: None,
        users=lambda _file: UsersFacts(),
    )


def _world(documents: Iterable[Document], inventory: Inventory) -> Iterator[Object]:
    services: dict[tuple[str, str], set[int]] = {}
    secrets: dict[tuple[str, str], str] = {}
    classes: set[str] = set()
    for document in documents:
        own = document["metadata"]["namespace"]
        if document["kind"] == "Gateway":
            classes.add(document["spec"]["gatewayClassName"])
        for part in _parts(document.get("spec", {})):
            namespace = part.get("namespace", own)
            if (
                part.get("kind", "Service") == "Service"
                and "name" in part
                and "port" in part
                and not {"group", "protocol"} & part.keys()
            ):
                services.setdefault((namespace, part["name"]), set()).add(part["port"])
            for reference in part.get("certificateRefs", ()):
                secrets[reference.get("namespace", own), reference["name"]] = "kubernetes.io/tls"
            if "secretRef" in part:
                secrets.setdefault((own, part["secretRef"]["name"]), part["secretRef"].get("key", "auth"))
    for name in sorted(classes):
        yield _made("gateway.networking.k8s.io/v1", "GatewayClass", "", name, spec=_class())
    for key in sorted({*services, *inventory.services}):
        given = inventory.services.get(key)
        ports = {item.port: item.name for item in given.spec.ports} if given is not None else {}
        ports = ports or {number: f"p{number}" for number in sorted(services.get(key, ()))[:MAX_PORTS]}
        yield from _service(key, ports)
    for (namespace, name), kind in sorted(secrets.items()):
        # Also those that are given: nothing of them is to be looked at.
        tls = kind == "kubernetes.io/tls"
        data = {"tls.crt": _PEM, "tls.key": _PEM} if tls else {kind: _USERS}
        yield _made("v1", "Secret", namespace, name, type=kind if tls else "Opaque", data=data)


def _parts(value: Any) -> Iterator[Document]:  # noqa: ANN401 (any part of a document)
    """All mappings within a value."""
    if isinstance(value, dict):
        yield value
        for item in value.values():
            yield from _parts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _parts(item)


def _class() -> Document:
    return {"controllerName": DEFAULT_CONTROLLER_NAME}


def _service(key: tuple[str, str], ports: dict[int, str]) -> Iterator[Object]:
    namespace, name = key
    spec = {"ports": [{"port": number, "name": label} for number, label in ports.items()], "clusterIP": "None"}
    yield _made("v1", "Service", namespace, name, spec=spec)
    yield _made(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        namespace,
        name,
        labels={_SERVICE_LABEL: name},
        addressType="IPv4",
        endpoints=[{"addresses": [_ADDRESS]}],
        ports=[{"port": number, "name": label} for number, label in ports.items()],
    )


def _made(
    version: str, kind: str, namespace: str, name: str, labels: dict[str, str] | None = None, **rest: object
) -> Object:
    metadata: Document = {"name": name}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata |= {"labels": labels} if labels else {}
    return decode({"apiVersion": version, "kind": kind, "metadata": metadata, **rest})

"""What cases of policies are made of: requests with what follows; objects of a case, with its policy and without."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPMessage
from typing import Any, NamedTuple

from api import Object
from harness.network import NODE_ADDRESS
from system_backends import Answer as Answering
from system_backends import Backend

GROUP = "gateway.networking.k8s.io"
OWN = "sluicegate.dev/v1alpha1"
SERVICE = {"name": "example-svc", "port": 8080}
#: The Gateway of all cases, and the one of the same without their policies.
GATEWAY, PLAIN = "policies", "plain"
#: Kinds that routes name, in place of naming a target.
UNTARGETED = frozenset({"HTTPFilter", "XBackend"})


@dataclass(frozen=True)
class Probe:
    """A request and the status that it gets; 0: any."""

    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    path: str = "/"
    body: bytes | None = None
    #: A field that the response has to have, and behind `: ` a part of its value.
    answered: str = ""
    #: A part of its body; the backend says there what it got.
    shows: str = ""
    #: Over TLS: without a client's certificate (False) or with it (True); None: without TLS.
    certificate: bool | None = None


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: HTTPMessage
    body: str


@dataclass(frozen=True)
class Seen:
    """What came of the requests of a case."""

    answers: Sequence[Answer]
    #: The case's own, which know what they got.
    backends: Sequence[Backend]
    #: Of the access log the lines of the case's host, once it has one of a method.
    logged: Callable[[str], Sequence[Object]]
    #: Of the pod's metrics those that name the case's policy.
    metrics: Callable[[], Sequence[str]]


@dataclass(frozen=True)
class Case:
    """A part of a policy: what it says, on what, and what follows from it. Without the policy something else does."""

    #: Empty where the route alone says it.
    kind: str
    spec: Mapping[str, Any]
    probes: Sequence[Probe]
    objects: Sequence[Object] = ()
    #: On the case's own Service in place of its route.
    backend: bool = False
    #: On the Gateway of all cases.
    gateway: bool = False
    #: Filters of the rule, and what it says besides.
    filters: Sequence[Object] = ()
    rule: Mapping[str, Any] = field(default_factory=dict)
    #: In place of the backend of all cases.
    backend_ref: Mapping[str, Any] | None = None
    version: str = OWN
    #: How the endpoints of its own Service answer, which the test serves itself; with none, those of all.
    own: Sequence[Answering] = ()
    #: What its own Service says that they speak.
    protocol: str = ""
    #: They speak TLS.
    tls: Callable[[], ssl.SSLContext] | None = None
    #: No backend answers before all requests are on their way, or refused.
    together: bool = False
    #: What follows besides.
    seen: Callable[[Seen], object] | None = None
    #: It is asked until it holds: what comes of health or of a mirror takes a moment.
    settles: bool = False


def secret(name: str, **values: str | bytes) -> Object:
    data = {
        key: base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()
        for key, value in values.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def config_map(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def http_filter(name: str) -> Object:
    return {"type": "ExtensionRef", "extensionRef": {"group": "sluicegate.dev", "kind": "HTTPFilter", "name": name}}


def named(name: str, kind: str, version: str, spec: Mapping[str, Any]) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def target(kind: str, name: str, section: str = "", group: str = GROUP) -> Object:
    return {"group": group, "kind": kind, "name": name, **({"sectionName": section} if section else {})}


def without_policy(name: str) -> str:
    """Name of a case's twin, which has all but the policy."""
    return f"{PLAIN}-{name}"


def services(name: str, case: Case, addresses: Sequence[tuple[str, int]]) -> Iterator[Object]:
    """A case's own Service: of the test's own backends, or of those of all."""
    if not case.own:
        yield named(name, "Service", "v1", {"selector": {"app": "example-svc"}, "ports": [{"port": 8080}]})
        return
    protocol = {"appProtocol": case.protocol} if case.protocol else {}
    yield named(name, "Service", "v1", {"ports": [{"port": 8080, **protocol}]})
    for number, (_, port) in enumerate(addresses):
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{name}-{number}", "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [NODE_ADDRESS], "conditions": {"ready": True}}],
            "ports": [{"name": "", "port": port, "protocol": "TCP"}],
        }


def objects(
    name: str, case: Case, addresses: Sequence[tuple[str, int]] = (), *, policy: bool = True
) -> Iterator[Object]:
    """What a case consists of, but for what others use too.

    Args:
        name: of the case, or of its twin.
        case: with its policy.
        addresses: of the case's own backends.
        policy: False: all but the policy, and what the rule says in place of one.
    """
    if case.backend or case.own:
        yield from services(name, case, addresses)
    rule: Object = {"backendRefs": [{**SERVICE, "name": name} if case.backend else SERVICE]}
    if case.backend_ref is not None and (policy or case.kind not in {"", "XBackend"}):
        rule["backendRefs"] = [{"name": name, **case.backend_ref}]
    if policy and case.filters:
        rule["filters"] = list(case.filters)
    if policy or case.kind:
        rule |= case.rule
    gateway = GATEWAY if policy else PLAIN
    spec = {"parentRefs": [{"name": gateway}], "hostnames": [f"{name}.example.com"], "rules": [rule]}
    yield named(name, "HTTPRoute", f"{GROUP}/v1", spec)
    route, of_service = target("HTTPRoute", name), target("Service", name, group="")
    for item in case.objects:
        if "spec" in item and "metadata" not in item:
            refs = [of_service if item["kind"] == "BackendTLSPolicy" else route]
            yield {**item, "metadata": {"name": name}, "spec": {"targetRefs": refs, **item["spec"]}}
        elif policy:
            yield item
    if policy and case.kind:
        attached = of_service if case.backend else target("Gateway", gateway) if case.gateway else route
        targets = {} if case.kind in UNTARGETED else {"targetRefs": [attached]}
        yield named(name, case.kind, case.version, {**targets, **case.spec})


def is_programmed(item: Object) -> bool:
    """Whether a policy is accepted and programmed for each of its Gateways."""
    ancestors = item.get("status", {}).get("ancestors", [])
    return bool(ancestors) and all(
        found["status"] == "True" for ancestor in ancestors for found in ancestor["conditions"]
    )

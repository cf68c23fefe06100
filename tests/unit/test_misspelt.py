"""What the API server would refuse is refused, whatever else is wrong with it: the last good version goes on.

Fields that are not known are dropped with a warning; then the object has to hold without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from odd_inputs import objects
from odd_objects import certificate

from sluicegate.controller import api as model
from sluicegate.controller.api import OWN_GROUP, READ_KINDS, Diagnostic
from sluicegate.controller.api.kinds import TABLE
from sluicegate.controller.sources.files import Reader
from sluicegate.controller.sources.files.source import Source
from sluicegate.controller.store.store import Store
from sluicegate.schema import catalog, violations

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: a}}
spec:
  parentRefs: [{{name: gateway}}]
  rules:
  - backendRefs:
    - name: app
      port: 80
      weight: 2
"""
OBJECTS = {
    **{kind: ROUTE.format(kind=kind) for kind in model.ROUTE_KINDS},
    "TLSRoute": ROUTE.format(kind="TLSRoute") + "  hostnames: [a.test]\n",
    "GatewayClass": """
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: a}
spec:
  controllerName: sluicegate.dev/controller
""",
    "Gateway": """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a}
spec:
  gatewayClassName: sluicegate
  listeners:
  - name: https
    port: 443
    protocol: HTTPS
    hostname: a.test
    tls:
      certificateRefs: [{name: a}]
""",
    "ListenerSet": """
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: a}
spec:
  parentRef: {name: a}
  listeners:
  - name: tls
    port: 443
    protocol: HTTPS
    tls:
      certificateRefs: [{name: a}]
""",
    "ReferenceGrant": """
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: a}
spec:
  from:
  - group: gateway.networking.k8s.io
    kind: HTTPRoute
    namespace: b
  to:
  - group: ""
    kind: Service
    name: a
""",
    "BackendTLSPolicy": """
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: "", kind: Service, name: a}]
  validation:
    hostname: a.test
    wellKnownCACertificates: System
""",
    "AccessPolicy": """
apiVersion: sluicegate.dev/v1alpha1
kind: AccessPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]
  apiKey:
    secretRefs: [{name: keys}]
    from: [{header: x-key}]
""",
    "ClientPolicy": """
apiVersion: sluicegate.dev/v1alpha1
kind: ClientPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]
  body:
    maxSize: 10Mi
""",
    "HTTPFilter": """
apiVersion: sluicegate.dev/v1alpha1
kind: HTTPFilter
metadata: {name: a}
spec:
  rewrite:
    pathRegex:
      pattern: a
      replacement: b
""",
    "XBackend": """
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackend
metadata: {name: a}
spec:
  type: ExternalHostname
  externalHostname:
    hostname: api.payments.example
  port:
    number: 443
  tls:
    mode: ServerOnly
    validation:
      hostname: api.payments.example
      wellKnownCACertificates: System
""",
    "XBackendTrafficPolicy": """
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XBackendTrafficPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: "", kind: Service, name: a}]
  retryConstraint:
    budget: {percent: 10}
  sessionPersistence:
    type: Header
    header: {name: x-session}
""",
    "XTelemetryPolicy": """
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XTelemetryPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]
  tracing:
    mode: Enabled
    provider:
      backendRef: {name: collector, port: 4317}
    samplingRate: {numerator: 5}
""",
    "BackendPolicy": """
apiVersion: sluicegate.dev/v1alpha1
kind: BackendPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: "", kind: Service, name: a}]
  loadBalancing:
    type: Hash
    hash: {key: [client]}
  limits: {requests: 10}
""",
    "RateLimitPolicy": """
apiVersion: sluicegate.dev/v1alpha1
kind: RateLimitPolicy
metadata: {name: a}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: a}]
  local:
    limits:
    - name: each
      key: [client]
      requests: 10
      per: 1m
      mode: Shadow
    exempt:
      clients: [10.0.0.0/8]
""",
    "RequestHeaderFilter": """
apiVersion: sluicegate.dev/v1alpha1
kind: RequestHeaderFilter
metadata: {name: a}
spec:
  set:
  - name: x-a
    value: b
""",
    "Service": """
apiVersion: v1
kind: Service
metadata: {name: a}
spec:
  type: ClusterIP
  ports:
  - name: udp
    port: 53
    protocol: UDP
  - name: tcp
    port: 53
""",
    "EndpointSlice": """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: a}
addressType: IPv4
endpoints:
- addresses: [127.0.0.1]
ports:
- port: 80
  protocol: TCP
""",
    "Secret": """
apiVersion: v1
kind: Secret
metadata: {name: a}
type: kubernetes.io/tls
data:
  tls.crt: YQ==
  tls.key: YQ==
""",
    "ConfigMap": """
apiVersion: v1
kind: ConfigMap
metadata: {name: a}
binaryData:
  ca.crt: YQ==
""",
    "ClusterTrustBundle": f"""
apiVersion: certificates.k8s.io/v1
kind: ClusterTrustBundle
metadata: {{name: a}}
spec:
  trustBundle: {json.dumps(certificate())}
""",
}

#: Kind, what is written for what, and the field that is told: refused, the last good version goes on.
REFUSED = [
    *((kind, "port: 80", "prot: 80", "spec.rules[0].backendRefs[0]") for kind in model.ROUTE_KINDS),
    *((kind, "- name: app", "- nmae: app", "spec.rules[0].backendRefs[0].name") for kind in model.ROUTE_KINDS),
    *((kind, "port: 80", "port: 80000\n      colour: red", "spec.rules[0].backendRefs[0].port")
      for kind in model.ROUTE_KINDS),
    # Both are told: what the schema says, and a rule about another field.
    ("HTTPRoute", "port: 80\n      weight: 2", "prot: 80\n      weight: -2", "spec.rules[0].backendRefs[0]"),
    ("HTTPRoute", "weight: 2", "weight: two\n      colour: red", "spec.rules[0].backendRefs[0].weight"),
    ("TLSRoute", "hostnames:", "hostname:", "spec.hostnames"),
    ("GatewayClass", "controllerName:", "controlerName:", "spec.controllerName"),
    ("Gateway", "gatewayClassName:", "gatewayClass:", "spec.gatewayClassName"),
    ("Gateway", "listeners:", "listener:", "spec.listeners"),
    ("Gateway", "port: 443", "prot: 443", "spec.listeners[0].port"),
    ("Gateway", "certificateRefs:", "certificateRef:", "spec.listeners[0].tls"),
    ("Gateway", "protocol: HTTPS", "protocol: TCP\n    colour: red", "spec.listeners"),
    ("ListenerSet", "parentRef:", "parentRefs:", "spec.parentRef"),
    ("ListenerSet", "port: 443", "prot: 443", "spec.listeners[0].port"),
    ("ListenerSet", "certificateRefs:", "certificateRef:", "spec.listeners[0].tls"),
    ("ReferenceGrant", "from:", "form:", "spec.from"),
    ("ReferenceGrant", "namespace: b", "namespcae: b", "spec.from[0].namespace"),
    ("BackendTLSPolicy", "targetRefs:", "targetRef:", "spec.targetRefs"),
    ("BackendTLSPolicy", "hostname:", "hostnames:", "spec.validation.hostname"),
    ("BackendTLSPolicy", "wellKnownCACertificates:", "wellKnownCaCertificates:", "spec.validation"),
    ("AccessPolicy", "apiKey:", "apikey:", "spec"),
    ("AccessPolicy", "apiKey:", "oidc: {}\n  apiKey:", "spec"),
    ("AccessPolicy", "header:", "heder:", "spec.apiKey.from[0]"),
    ("ClientPolicy", "targetRefs:", "targetRef:", "spec.targetRefs"),
    ("ClientPolicy", "body:", "bodies:", "spec"),
    ("ClientPolicy", "maxSize:", "maximum:", "spec.body"),
    ("ClientPolicy", "kind: Gateway", "kind: Gatway", "spec.targetRefs"),
    ("HTTPFilter", "rewrite:", "rewrites:", "spec"),
    ("HTTPFilter", "pattern:", "patern:", "spec.rewrite.pathRegex.pattern"),
    ("XBackend", "type: ExternalHostname", "tpye: ExternalHostname", "spec.type"),
    ("XBackend", "port:", "prt:", "spec.port"),
    ("XBackendTrafficPolicy", "targetRefs:", "targetRef:", "spec.targetRefs"),
    ("XBackendTrafficPolicy", "header:", "headers:", "spec.sessionPersistence"),
    ("XTelemetryPolicy", "targetRefs:", "targetRef:", "spec.targetRefs"),
    ("XTelemetryPolicy", "provider:", "providers:", "spec.tracing"),
    ("BackendPolicy", "targetRefs:", "targetRef:", "spec.targetRefs"),
    ("BackendPolicy", "type: Hash", "tpye: Hash", "spec.loadBalancing"),
    ("BackendPolicy", "type: Hash", "type: Hashed", "spec.loadBalancing.type"),
    ("BackendPolicy", "[client]", "[clinet]", "spec.loadBalancing.hash.key[0]"),
    ("RateLimitPolicy", "local:", "locale:", "spec"),
    ("RateLimitPolicy", "limits:", "limit:", "spec.local"),
    ("RateLimitPolicy", "requests:", "request:", "spec.local.limits[0]"),
    ("RateLimitPolicy", "per: 1m", "per: 1min", "spec.local.limits[0].per"),
    ("RateLimitPolicy", "per: 1m", "per: 25h", "spec.local.limits[0].per"),
    ("RateLimitPolicy", "[client]", "[clients]", "spec.local.limits[0].key[0]"),
    ("RateLimitPolicy", "name: each", "name: Each", "spec.local.limits[0].name"),
    ("RateLimitPolicy", "Shadow", "Shadowed", "spec.local.limits[0].mode"),
    ("RateLimitPolicy", "10.0.0.0/8", "everybody", "spec.local.exempt.clients[0]"),
    ("RequestHeaderFilter", "set:", "sets:", "spec"),
    ("RequestHeaderFilter", "value: b", "valeu: b", "spec.set[0].value"),
    ("Service", "ports:", "prots:", "spec.ports"),
    ("Service", "  port: 53\n    protocol", "  prot: 53\n    protocol", "spec.ports[0].port"),
    ("Service", "name: udp", "nmae: udp", "spec.ports[0].name"),
    ("Service", "protocol: UDP", "protocl: UDP", "spec.ports[1]"),
    ("Service", "protocol: UDP", "protocol: HTTP\n    colour: red", "spec.ports[0].protocol"),
    ("Service", "type: ClusterIP", "type: CluterIP", "spec.type"),
    ("Service", "port: 53\n    protocol", "port: 0\n    protocol", "spec.ports[0].port"),
    ("Service", "type: ClusterIP", "type: ExternalName\n  externlName: a.test", "spec.externalName"),
    ("EndpointSlice", "addressType:", "adressType:", "addressType"),
    ("EndpointSlice", "addresses:", "adresses:", "endpoints[0].addresses"),
    ("EndpointSlice", "127.0.0.1", "app", "endpoints[0].addresses[0]"),
    ("EndpointSlice", "[127.0.0.1]", "[]", "endpoints[0].addresses"),
    ("EndpointSlice", "addressType: IPv4", "addressType: IP4", "addressType"),
    ("EndpointSlice", "protocol: TCP", "protocol: HTTP", "ports[0].protocol"),
    ("Secret", "data:", "date:", 'data["tls.key"]'),
    ("Secret", "tls.key:", "tls.kye:", 'data["tls.key"]'),
    ("Secret", "tls.key: YQ==", "tls.key: plain text", 'data["tls.key"]'),
    ("ConfigMap", "YQ==", "plain text", 'binaryData["ca.crt"]'),
    ("ClusterTrustBundle", "trustBundle:", "trustbundle:", "spec.trustBundle"),
]  # fmt: skip

#: Policies of ours: each is looked at by a golden object too.
OURS = [kind.name for kind in TABLE if kind.role == "policy" and kind.group == OWN_GROUP]

#: What the API server takes: the field is dropped, told as a warning, and the object counts as it then is.
TAKEN = [
    *((kind, "weight: 2", "wieght: 2", "spec.rules[0].backendRefs[0].wieght") for kind in model.ROUTE_KINDS),
    ("Gateway", "hostname:", "hostnam:", "spec.listeners[0].hostnam"),
    ("ReferenceGrant", "name: a\n", "nmae: a\n", "spec.to[0].nmae"),
    ("Service", "type: ClusterIP", "tpye: ClusterIP", "spec.tpye"),
    ("EndpointSlice", "protocol: TCP", "protocl: TCP", "ports[0].protocl"),
    ("ConfigMap", "binaryData:", "binarydata:", "binarydata"),
]


class World:
    """One object in a file."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.path = folder / "a.yaml"
        self.kind = kind
        self.store = Store()
        self.source = Source(Reader([str(self.path)]), self.store, violations)

    def save(self, text: str) -> tuple[Diagnostic, ...]:
        self.path.write_text(text)
        return self.source.refresh().diagnostics

    def object(self) -> Any:
        [found] = self.store.snapshot().table(self.kind).values()
        return found


def edit(kind: str, old: str, new: str) -> tuple[str, str]:
    text = OBJECTS[kind]
    # Not the name of the object.
    head, spec = re.split(r"(?<=metadata: \{name: a\})", text, maxsplit=1)
    assert old in spec
    return text, head + spec.replace(old, new, 1)


@pytest.mark.parametrize(("kind", "old", "new", "field"), REFUSED)
def test_what_the_api_server_refuses_is_refused(tmp_path: Path, kind: str, old: str, new: str, field: str) -> None:
    good, bad = edit(kind, old, new)
    world = World(tmp_path, kind)
    assert world.save(good) == ()
    before = world.object()
    faults = world.save(bad)
    assert world.object() is before
    told = [item for item in faults if item.severity == "error" and item.field == field]
    assert told != []
    for fault in told:
        assert (fault.object, fault.path, fault.line > 1) == (str(before.key), str(world.path), True)
    assert world.save(good) == ()
    assert world.object().same_content(before)


@pytest.mark.parametrize(("kind", "old", "new", "field"), TAKEN)
def test_what_the_api_server_takes_is_taken(tmp_path: Path, kind: str, old: str, new: str, field: str) -> None:
    good, bad = edit(kind, old, new)
    world = World(tmp_path, kind)
    assert world.save(good) == ()
    [fault] = world.save(bad)
    assert (fault.field, fault.severity, fault.code) == (field, "warning", "unknown-field")
    assert world.object().same_content(model.decode(yaml.safe_load(bad)))


def test_a_namespace_that_a_kind_does_not_have_is_told_and_dropped(tmp_path: Path) -> None:
    """As the API server goes about it: charts write `namespace` into everything."""
    world = World(tmp_path, "GatewayClass")
    assert world.save(OBJECTS["GatewayClass"]) == ()
    [fault] = world.save(OBJECTS["GatewayClass"].replace("{name: a}", "{name: a, namespace: b}"))
    assert (fault.field, fault.severity, fault.code) == ("metadata.namespace", "warning", "unknown-field")
    assert world.object().metadata.namespace == "b"
    assert str(world.object().key) == "GatewayClass/a"


def test_every_kind_that_is_served_is_here() -> None:
    read = {kind.name for kind in TABLE if kind.struct and kind.files}
    assert OBJECTS.keys() >= read - {"Namespace", "Node", "GatewayParameters", *OURS}
    assert {kind for kind, *_ in REFUSED} == OBJECTS.keys()


# --- Every field of every golden object -------------------------------------------------------------------------------


def fields(
    value: Any, schema: dict[str, Any], path: tuple[Any, ...] = ()
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Fields that the schema names, with what it says of them; not those whose names are anybody's own."""
    if isinstance(value, dict):
        for name, item in value.items():
            below = schema.get("properties", {}).get(name)
            if below is not None:
                yield (*path, name), below
                yield from fields(item, below, (*path, name))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from fields(item, schema.get("items", {}), (*path, index))


def changed(document: dict[str, Any], path: tuple[Any, ...], change: Callable[[Any, Any], None]) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(document))
    holder: Any = copy
    for step in path[:-1]:
        holder = holder[step]
    change(holder, path[-1])
    return copy


def errors(document: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(item.field, item.code, item.message) for item in violations(document) if item.severity == "error"}


def misspell(holder: Any, name: Any) -> None:
    holder[f"{name}x"] = holder.pop(name)


def written(path: tuple[Any, ...]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def golden() -> list[tuple[dict[str, Any], tuple[Any, ...], dict[str, Any]]]:
    """Each field of each kind once, wherever it is, in an object that is right."""
    found, seen = [], set()
    for item in objects():
        document = json.loads(json.dumps(item, default=str))
        entry = catalog().get((document.get("apiVersion"), document.get("kind")))
        if entry is None or document["kind"] not in READ_KINDS or errors(document):
            continue
        body = {name: value for name, value in document.items() if name not in {"metadata", "status"}}
        for path, schema in fields(body, entry.schema):
            place = (document["kind"], *("[]" if isinstance(step, int) else step for step in path))
            if path[0] not in {"apiVersion", "kind"} and place not in seen:
                seen.add(place)
                found.append((document, path, schema))
    return found


def test_a_misspelt_field_is_as_bad_as_one_that_is_missing() -> None:
    """No better, or a required field would be missed; no worse, or the rest of the object would be lost for it."""
    looked, refused = 0, 0
    for document, path, _ in golden():
        missing, bad = changed(document, path, lambda holder, name: holder.pop(name)), changed(document, path, misspell)
        assert errors(bad) == errors(missing), written(path)
        [warning] = [item for item in violations(bad) if item.severity == "warning"]
        assert (warning.field, warning.code) == (f"{written(path)}x", "unknown-field")
        looked, refused = looked + 1, refused + bool(errors(bad))
    assert looked > 300
    assert refused > 100


def test_a_value_that_no_list_has_is_refused() -> None:
    looked = 0
    for document, path, schema in golden():
        if "enum" in schema:
            bad = changed(document, path, lambda holder, name: holder.update({name: f"{holder[name]}x"}))
            assert (written(path), "schema") in {(field, code) for field, code, _ in errors(bad)}, written(path)
            looked += 1
    assert looked > 15


def test_a_required_field_is_missed_at_every_depth() -> None:
    """Also where the object has another field that is not known, and where the whole list would be right without it."""
    looked = 0
    for document, path, _ in golden():
        bad = changed(document, path, misspell)
        if not errors(bad):
            continue
        place = ("spec", "colour") if "spec" in bad else ("colour",)
        worse = changed(bad, place, lambda holder, name: holder.update({name: 1}))
        assert errors(worse) == errors(bad), written(path)
        looked += 1
    assert looked > 100


@pytest.mark.parametrize("kind", OURS)
def test_a_policy_of_ours_is_refused_for_any_part_of_its_spec(tmp_path: Path, kind: str) -> None:
    """What it asks for by a field that nobody knows would not hold; the object is a golden one, whatever it says."""
    found = (json.loads(json.dumps(item, default=str)) for item in objects() if item.get("kind") == kind)
    good = {**next(item for item in found if not errors(item)), "metadata": {"name": "a"}}
    world = World(tmp_path, kind)
    assert world.save(yaml.safe_dump(good)) == ()
    before = world.object()
    for name in good["spec"]:
        faults = world.save(yaml.safe_dump(changed(good, ("spec", name), misspell)))
        assert world.object() is before
        told = {(item.severity, item.field) for item in faults if item.object == str(before.key) and item.line > 1}
        assert ("error", f"spec.{name}x") in told

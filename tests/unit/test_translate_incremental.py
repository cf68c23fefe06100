"""Objects of every kind come, change and go: what was translated step by step is what one step gives.

So is what is written from reports, and whoever follows `changed_since` knows every status. Policies are among them,
also of kinds that nobody has. `TEST_SEEDS=500` searches longer; a seed is the number in the name of the test.
"""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import Any

import pytest
from pretended_policies import KINDS, LIMITED, policy

from sluicegate import ir
from sluicegate.controller.api import ROUTE_KINDS, Object, ObjectKey, decode
from sluicegate.controller.store.store import Apply, Delete, Store
from sluicegate.controller.translate import (
    Checks,
    Options,
    PatternFacts,
    RouteLimits,
    Translation,
    Translator,
    ir_transaction,
)
from sluicegate.controller.translate.apply_report import ApplyReport, read_report
from sluicegate.controller.translate.infrastructure.plane import ProvisionOptions

STEPS = 60
SEEDS = int(os.environ.get("TEST_SEEDS", "12"))
GATEWAY_API = "gateway.networking.k8s.io/v1"
OURS = "sluicegate.dev/v1alpha1"
GROUP = "gateway.networking.k8s.io"
EXPERIMENTAL = "gateway.networking.x-k8s.io"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\n"
#: Limits that the routes of a namespace meet now and then; a check that finds expressions as large as they are long.
LIMITS = RouteLimits(expressions=6, namespace_expressions=9, places=4, namespace_places=10)
CHECKS = Checks(pattern=lambda pattern: PatternFacts(size=len(pattern)))
Document = dict[str, Any]


class Cluster:
    """Makes documents that refer to each other now and then, good and bad ones."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def maybe(self, share: float, **fields: Any) -> Document:
        return fields if self.chance.random() < share else {}

    def pick(self, *values: Any) -> Any:
        return self.chance.choice(values)

    def name(self) -> str:
        return str(self.pick("x", "y"))

    def place(self) -> str:
        return str(self.pick("a", "b"))

    def document(self) -> Document:
        makers = (
            *(self.gateway_class, self.gateway, self.gateway, self.listener_set, self.route, self.route, self.route),
            *(self.service, self.service, self.endpoint_slice, self.grant, self.policy, self.secret, self.bundle),
            *(self.namespace, self.node, self.parameters, self.header_filter, self.trust_bundle, self.definition),
            *(self.http_filter, self.http_filter, self.external_backend),
        )
        version, kind, metadata, body = self.pick(*makers)()
        metadata = {"name": self.name(), "uid": self.pick("u1", "u2"), "generation": 1, **metadata}
        metadata["creationTimestamp"] = f"2026-01-0{self.chance.randint(1, 3)}T00:00:00Z"
        return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}

    def namespaced(self, **rest: Any) -> Document:
        return {"namespace": self.place(), **rest}

    def gateway_class(self) -> Any:
        parameters = {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": self.name()}
        parameters |= self.maybe(0.8, namespace=self.place())
        controller = self.pick("sluicegate.dev/controller", "sluicegate.dev/controller", "example.com/other")
        spec = {"controllerName": controller, **self.maybe(0.5, parametersRef=parameters)}
        return GATEWAY_API, "GatewayClass", self.maybe(0.3, name="y-x"), {"spec": spec}

    def from_(self) -> Document:
        selector = {"matchLabels": {"tier": self.pick("1", "2")}}
        return dict(self.pick({"from": "Same"}, {"from": "All"}, {"from": "Selector", "selector": selector}))

    def listeners(self) -> list[Document]:
        found = []
        for number in range(self.chance.randint(1, 3)):
            certificates = [{"name": self.name(), **self.maybe(0.4, namespace=self.place())}]
            tls = {"mode": self.pick("Terminate", "Passthrough"), "certificateRefs": certificates}
            kinds = [self.pick("RequestHeaderFilter", "HTTPFilter", "HTTPFilter") for _ in range(self.pick(1, 1, 2))]
            references = [{"group": "sluicegate.dev", "kind": kind, "name": self.name()} for kind in kinds]
            filters = [{"type": "ExtensionRef", "extensionRef": each} for each in references]
            found.append(
                {
                    "name": f"l{number}",
                    "port": self.pick(80, 443, 9000),
                    "protocol": self.pick("HTTP", "HTTPS", "TLS", "TCP", "UDP"),
                    **self.maybe(0.5, hostname=self.pick("a.example.com", "*.example.com")),
                    **self.maybe(0.6, tls=tls),
                    **self.maybe(0.3, filters={"requests": filters}),
                    "allowedRoutes": {"namespaces": self.from_()},
                }
            )
        return found

    def gateway(self) -> Any:
        bundle = self.pick(
            {"group": "", "kind": "ConfigMap", "name": "x"},
            {"group": "", "kind": "ConfigMap", "name": "y", "namespace": "b"},
            {"group": "certificates.k8s.io", "kind": "ClusterTrustBundle", "name": "x"},
        )
        own = {"name": self.name(), **self.maybe(0.4, namespace=self.place())}
        tls = {"backend": {"clientCertificateRef": own}}
        tls |= self.maybe(0.7, frontend={"default": {"validation": {"caCertificateRefs": [bundle]}}})
        address = self.pick(
            {"type": "IPAddress", "value": "10.1.1.1"},
            {"type": "IPAddress", "routability": "Cluster"},
            {"type": "Hostname", "value": "h"},
        )
        parameters = {"group": "sluicegate.dev", "kind": "GatewayParameters", "name": self.name()}
        spec = {
            # `x-y` of class `x` and `x` of class `y-x` want data planes of one name.
            "gatewayClassName": self.pick("x", "y", "y-x"),
            "listeners": self.listeners(),
            "allowedListeners": {"namespaces": self.from_()},
            **self.maybe(0.3, addresses=[address]),
            **self.maybe(0.4, infrastructure={"parametersRef": parameters}),
            **self.maybe(0.3, tls=tls),
        }
        return GATEWAY_API, "Gateway", self.namespaced(**self.maybe(0.2, name="x-y")), {"spec": spec}

    def listener_set(self) -> Any:
        parent = {"name": self.name(), "namespace": self.place()}
        spec = {"parentRef": parent, "listeners": self.listeners()}
        return GATEWAY_API, "ListenerSet", self.namespaced(**self.maybe(0.3, name="z")), {"spec": spec}

    def route(self) -> Any:
        kind = self.pick(*ROUTE_KINDS)
        parents = [
            {
                "kind": self.pick("Gateway", "Gateway", "ListenerSet"),
                "name": self.name(),
                "namespace": self.place(),
                **self.maybe(0.3, sectionName=f"l{self.chance.randint(0, 2)}"),
                **self.maybe(0.2, port=self.pick(80, 443)),
            }
            for _ in range(self.chance.randint(1, 2))
        ]
        mirror = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "x", "port": 80, "namespace": "b"}}}
        filters = self.maybe(0.4, filters=[mirror]) if kind in {"HTTPRoute", "GRPCRoute"} else {}
        rules = [
            {
                **self.maybe(0.7, name=f"r{number}"),
                "backendRefs": [self.backend() for _ in range(self.chance.randint(0, 2))],
                **filters,
                **(self.matches() if kind == "HTTPRoute" else {}),
            }
            for number in range(self.chance.randint(1, 2))
        ]
        named = {} if kind in {"TCPRoute", "UDPRoute"} else self.maybe(0.6, hostnames=[self.pick("a.example.com", "z")])
        return GATEWAY_API, kind, self.namespaced(), {"spec": {"parentRefs": parents, **named, "rules": rules}}

    def matches(self) -> Document:
        paths = [
            {"type": "RegularExpression", "value": self.pick("/ab", "/abcd", "/x")} for _ in range(self.pick(1, 2, 3))
        ]
        return self.maybe(0.4, matches=[{"path": path} for path in paths])

    def object(self) -> Object:
        """An object of any kind, policies of kinds that nobody has among them."""
        if self.chance.random() < 0.85:
            return decode(self.document())
        direct = self.chance.random() < 0.3
        kind = "CarePolicy" if direct else "LimitPolicy"
        targets = []
        for _ in range(self.chance.randint(1, 2)):
            of = "Service" if direct or self.chance.random() < 0.05 else self.pick(*sorted(LIMITED))
            section = self.pick("", "", "/web" if direct else self.pick("/l0", "/l1", "/r0", "/r1"))
            targets.append(f"{of}/{self.name()}{section}")
        stanzas = {"": self.pick("1", "2", "Bad")} if direct else self.maybe(0.8, limit=self.pick("1", "2", "Off"))
        stanzas |= {} if direct else self.maybe(0.5, auth=self.pick("1", "Off", "Bad"))
        values = {"overrides": self.pick(True, False), "created": self.chance.randint(1, 3)}
        return policy(self.name(), *targets, kind=kind, namespace=self.place(), **values, **stanzas)

    def backend(self) -> Document:
        place = self.maybe(0.5, namespace=self.place())
        kind = self.maybe(0.2, group=EXPERIMENTAL, kind="XBackend")
        return {"name": self.name(), "port": self.pick(80, 53), **kind, **place, "weight": self.chance.randint(0, 2)}

    def service(self) -> Any:
        metadata = self.namespaced()
        if self.chance.random() < 0.4:  # of a data plane
            gateway, own = self.pick(("x", "x"), ("x", "y"), ("y", "x"))
            metadata |= {
                "name": f"{gateway}-{own}",
                "labels": {
                    "app.kubernetes.io/managed-by": "sluicegate",
                    f"{GROUP}/gateway-name": gateway,
                    f"{GROUP}/gateway-class-name": own,
                },
                "annotations": {"sluicegate.dev/controller-name": "sluicegate.dev/controller"},
                "ownerReferences": [
                    {
                        "apiVersion": GATEWAY_API,
                        "kind": "Gateway",
                        "name": gateway,
                        "uid": self.pick("u1", "u2"),
                        "controller": True,
                    }
                ],
            }
        ports = [
            {"name": "web", "port": 80, "appProtocol": self.pick("", "https", "kubernetes.io/h2c")},
            {"name": "udp", "port": 53, "protocol": "UDP"},
        ]
        spec = {
            "type": self.pick("ClusterIP", "LoadBalancer", "NodePort", "ExternalName"),
            "ipFamilies": ["IPv4"],
            "clusterIP": self.pick("10.9.0.1", "10.9.0.2"),
            "clusterIPs": ["10.9.0.1"],
            **self.maybe(0.3, externalTrafficPolicy="Local"),
            "ports": ports[: self.chance.randint(1, 2)],
        }
        status = {"loadBalancer": {"ingress": [{"ip": self.pick("10.1.1.1", "10.1.1.2")}]}}
        return "v1", "Service", metadata, {"spec": spec, **self.maybe(0.5, status=status)}

    def endpoint_slice(self) -> Any:
        labels = {"kubernetes.io/service-name": self.pick("x", "y", "x-x")}
        endpoint = {"addresses": [f"10.0.0.{self.chance.randint(1, 3)}"], "nodeName": self.name()}
        endpoint |= self.maybe(0.4, conditions={"ready": self.pick(True, False), "serving": True})
        ports = [{"name": "web", "port": 1}, {"name": "udp", "port": 2, "protocol": "UDP"}]
        body = {"addressType": "IPv4", "endpoints": [endpoint], "ports": ports}
        return "discovery.k8s.io/v1", "EndpointSlice", self.namespaced(labels=labels), body

    def grant(self) -> Any:
        source = {"group": GROUP, "kind": self.pick("Gateway", "ListenerSet", *ROUTE_KINDS), "namespace": self.place()}
        target = {"group": "", "kind": self.pick("Service", "Secret", "ConfigMap"), **self.maybe(0.3, name=self.name())}
        return GATEWAY_API, "ReferenceGrant", self.namespaced(), {"spec": {"from": [source], "to": [target]}}

    def policy(self) -> Any:
        target = {"group": "", "kind": "Service", "name": self.name(), **self.maybe(0.3, sectionName="web")}
        bundle = self.pick(
            {"group": "", "kind": "ConfigMap", "name": self.name()},
            {"group": "certificates.k8s.io", "kind": "ClusterTrustBundle", "name": "x"},
        )
        validation = {"hostname": "h.example.com", "caCertificateRefs": [bundle]}
        spec = {"targetRefs": [target], "validation": validation}
        return GATEWAY_API, "BackendTLSPolicy", self.namespaced(), {"spec": spec}

    def secret(self) -> Any:
        data = {"tls.crt": CERTIFICATE, "tls.key": "-----BEGIN PRIVATE KEY-----\n", "ca.crt": self.pick("A", "B")}
        return "v1", "Secret", self.namespaced(), {"type": "kubernetes.io/tls", "stringData": data}

    def bundle(self) -> Any:
        return "v1", "ConfigMap", self.namespaced(), {"data": self.maybe(0.7, **{"ca.crt": CERTIFICATE})}

    def namespace(self) -> Any:
        return "v1", "Namespace", {"name": self.place(), "labels": {"tier": self.pick("1", "2")}}, {}

    def node(self) -> Any:
        address = {
            "type": self.pick("ExternalIP", "InternalIP"),
            "address": self.pick("10.1.1.1", "10.1.1.3"),
        }
        ready = {"type": "Ready", "status": self.pick("True", "False")}
        return "v1", "Node", {}, {"status": {"addresses": [address], "conditions": [ready]}}

    def parameters(self) -> Any:
        spec = {
            **self.maybe(0.5, mode=self.pick("Shared", "PerGateway")),
            **self.maybe(0.5, deployment={"replicas": self.pick(1, 2, -1)}),
            **self.maybe(0.5, service={"type": self.pick("NodePort", "LoadBalancer", "ClusterIP", "bad")}),
        }
        return OURS, "GatewayParameters", self.namespaced(), {"spec": spec}

    def header_filter(self) -> Any:
        spec = {"set": [{"name": self.pick("x-a", "host"), "value": self.pick("1", "2")}]}
        return OURS, "RequestHeaderFilter", self.namespaced(), {"spec": spec}

    def http_filter(self) -> Any:
        page = self.pick({"body": "a"}, {"backendRef": {"name": self.name(), "port": 80}})
        spec = self.pick(
            {"errorPages": [{"statuses": [self.pick(404, "5xx")], **page}]},
            {"fault": {"abort": {"status": self.pick(418, 503)}}},
            {"buffer": {"maxSize": self.pick(1, 2)}},
            {"mirror": {"backendRef": {"name": "app", "port": 80}, "body": self.pick("Copy", "None")}},
            {"respond": {"status": self.pick(200, 503)}},
            {"headers": {"response": {"remove": [self.pick("x-a", "x-b")]}}},
            {"credential": {"secretRef": {"name": self.name(), "key": "ca.crt"}}},
        )
        return OURS, "HTTPFilter", self.namespaced(), {"spec": spec}

    def external_backend(self) -> Any:
        certificate = {"name": self.name(), **self.maybe(0.4, namespace=self.place())}
        validation = {"hostname": "h.example.com", "wellKnownCACertificates": "System"}
        tls = self.pick(
            {"mode": "None"},
            {"mode": "ServerOnly", "validation": validation},
            {"mode": "ClientAndServer", "validation": validation, "clientCertificateRef": certificate},
        )
        host = {"type": "ExternalHostname", "externalHostname": {"hostname": "h.example.com"}}
        spec = {**host, "port": {"number": 80}, "tls": tls}
        return f"{EXPERIMENTAL}/v1alpha1", "XBackend", self.namespaced(), {"spec": spec}

    def trust_bundle(self) -> Any:
        return "certificates.k8s.io/v1", "ClusterTrustBundle", {}, {"spec": {"trustBundle": self.pick(CERTIFICATE, "")}}

    def definition(self) -> Any:
        annotations = {f"{GROUP}/bundle-version": self.pick("v1.7.0", "v1.4.0")}
        metadata = {"name": f"gatewayclasses.{GROUP}", "annotations": annotations}
        return "apiextensions.k8s.io/v1", "CustomResourceDefinition", metadata, {}

    def report(self, translation: Translation) -> ApplyReport:
        """What engines might say."""
        errors = ("port_in_use", "address_not_available", "refused")
        listeners = [
            {
                "id": identifier,
                "bound": ["0.0.0.0:80"],
                **self.maybe(0.2, error={"code": self.pick(*errors), "message": "no"}),
            }
            for identifier in translation.ir.listeners
            if self.chance.random() < 0.7
        ]
        held = [
            {"kind": "http_rule", "id": identifier, "reason": "no"}
            for identifier in translation.ir.http_rules
            if self.chance.random() < 0.1
        ]
        return read_report({"generation": 1, "listeners": listeners, "held": held})

    def failures(self) -> Mapping[ObjectKey, str]:
        """What might keep data planes away."""
        return dict(self.pick({}, {ObjectKey("Gateway", "a", "x"): "no quota"}, {ObjectKey("Gateway", "b", "y"): "no"}))


class Follower:
    """A writer that looks only at what it is told to have changed."""

    def __init__(self) -> None:
        self.last: Translation | None = None
        self.statuses: dict[ObjectKey, object] = {}

    def follow(self, translation: Translation) -> None:
        for key in translation.changed_since(self.last):
            if key in translation.statuses:
                self.statuses[key] = translation.statuses[key]
            else:
                self.statuses.pop(key, None)
        assert self.statuses == translation.statuses
        self.last = translation


@pytest.mark.parametrize("provision", [None, ProvisionOptions(namespace="a", authority="")], ids=["one", "provisioned"])
@pytest.mark.parametrize("seed", range(SEEDS))
def test_step_by_step_is_what_one_step_gives(seed: int, provision: ProvisionOptions | None) -> None:
    options = Options(
        implicit_class=False,
        implicit_namespaces=False,
        merge_gateways=provision is None,
        provision=provision,
        checks=CHECKS,
        routes=LIMITS if seed % 2 else RouteLimits(),
    )
    cluster, store, translator = Cluster(seed), Store(()), Translator(options=options, policies=KINDS)
    live: dict[ObjectKey, Object] = {}
    plain, reported, last = Follower(), Follower(), None
    report, failures = read_report({"generation": 0}), cluster.failures()
    for _ in range(STEPS):
        for _ in range(cluster.pick(1, 1, 2, 5)):
            if live and cluster.chance.random() < 0.2:
                gone = cluster.pick(*sorted(live))
                del live[gone]
                store.handle(Delete(gone))
            else:
                item = cluster.object()
                live[item.key] = item
                store.handle(Apply(item))
        found, fresh = translator.translate(store.snapshot()), _fresh(live, options)
        assert _content(found) == _content(fresh)
        plain.follow(found)
        report = cluster.report(found) if cluster.chance.random() < 0.4 else report
        failures = cluster.failures() if cluster.chance.random() < 0.2 else failures
        told, wanted = found.with_report(report, failures, last), fresh.with_report(report, failures)
        assert told.statuses == wanted.statuses
        assert set(map(repr, told.diagnostics)) == set(map(repr, wanted.diagnostics))
        if last is not None:
            before = last.statuses
            assert not [key for key in told.changed if told.statuses.get(key) == before.get(key)]
        reported.follow(told)
        last = told


def _fresh(live: dict[ObjectKey, Object], options: Options) -> Translation:
    store = Store()
    store.load(live.values())
    return Translator(options=options, policies=KINDS).translate(store.snapshot())


def _content(translation: Translation) -> dict[str, object]:
    return {
        "ir": ir.encode(ir_transaction(None, translation.ir, 1)),
        "statuses": dict(translation.statuses),
        "diagnostics": sorted(map(repr, translation.diagnostics)),
        "planes": dict(translation.infrastructure),
        "attached": dict(translation.attached),
        "assigned": dict(translation.assigned),
        "affected": dict(translation.affected),
    }


def test_one_new_route_touches_its_own_gateway_alone() -> None:
    options = Options(implicit_class=False, merge_gateways=False, provision=ProvisionOptions(authority=""))
    store, translator = Store(()), Translator(options=options)
    spec = {"controllerName": translator.controller_name}
    store.handle(Apply(decode({"apiVersion": GATEWAY_API, "kind": "GatewayClass", **_named("own"), "spec": spec})))
    for number in range(50):
        listeners = [{"name": "http", "port": 80, "protocol": "HTTP"}]
        spec = {"gatewayClassName": "own", "listeners": listeners}
        store.handle(
            Apply(decode({"apiVersion": GATEWAY_API, "kind": "Gateway", **_named(f"g{number}"), "spec": spec}))
        )
    before = translator.translate(store.snapshot())
    report = read_report(
        {"generation": 1, "listeners": [{"id": name, "bound": ["a:1"]} for name in before.ir.listeners]}
    )
    reported = before.with_report(report)
    spec = {"parentRefs": [{"name": "g7"}], "rules": [{}]}
    store.handle(Apply(decode({"apiVersion": GATEWAY_API, "kind": "HTTPRoute", **_named("new"), "spec": spec})))
    after = translator.translate(store.snapshot())
    told = after.with_report(report, before=reported)
    route, gateway = ObjectKey("HTTPRoute", "default", "new"), ObjectKey("Gateway", "default", "g7")
    assert set(told.changed_since(reported)) == {route, gateway}
    again = after.with_report(report, before=told)
    assert again.changed_since(told) == frozenset()
    other = next(key for key in told.statuses if key.kind == "Gateway" and key != gateway)
    assert told.statuses[other] is reported.statuses[other]


def _named(name: str) -> Document:
    return {"metadata": {"name": name}}

"""Ingresses as virtual objects: what is converted again, what real objects take over, what a fault costs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from msgspec.structs import replace as replaced

from sluicegate.controller.api import CLUSTER, Gateway, ListenerSet, Object, ObjectKey, decode
from sluicegate.controller.api.ingress import INGRESS_KINDS, SERVED_INGRESS_KINDS, Ingress
from sluicegate.controller.ingress import NGINX, Name, Options
from sluicegate.controller.ingress import served as served_module
from sluicegate.controller.ingress.groups import groups
from sluicegate.controller.ingress.inventory import Inventory
from sluicegate.controller.ingress.served import YOUNGEST, Result, Served
from sluicegate.controller.store.store import Apply, Delete, Init, InitDone
from sluicegate.controller.store.with_ingress import StoreWithIngress
from sluicegate.controller.translate import Options as TranslatorOptions
from sluicegate.controller.translate import Translator
from sluicegate.processes.ingress import Ingresses

NAME = "sluicegate.dev/controller"
PREFIX = "nginx.ingress.kubernetes.io/"
GATEWAY = Name("edge", "ingress")
Document = dict[str, Any]


def rule(host: str, service: str, path: str = "/") -> Document:
    backend = {"service": {"name": service, "port": {"number": 80}}}
    return {"host": host, "http": {"paths": [{"path": path, "pathType": "Prefix", "backend": backend}]}}


def written(name: str, *rules: Document, namespace: str = "shop", tls: str = "", **annotations: str) -> Object:
    spec: Document = {"ingressClassName": "nginx", "rules": list(rules)}
    if tls:
        spec["tls"] = [{"hosts": [rules[0]["host"]], "secretName": tls}]
    metadata = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{name}",
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "annotations": {f"{PREFIX}{key.replace('_', '-')}": value for key, value in annotations.items()},
    }
    document = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec}
    return decode(document, CLUSTER, INGRESS_KINDS)


def real(kind: str, name: str, namespace: str, spec: Document, **metadata: Any) -> Object:
    meta = {"name": name, "namespace": namespace, "creationTimestamp": "2026-02-01T00:00:00Z", **metadata}
    version = "v1" if kind in {"Service", "Secret"} else "gateway.networking.k8s.io/v1"
    body = {"spec": spec} if kind != "Secret" else {"data": spec, "type": "kubernetes.io/tls"}
    return decode({"apiVersion": version, "kind": kind, "metadata": meta, **body})


def edge() -> Object:
    everywhere = {"namespaces": {"from": "All"}}
    http = {"name": "http", "port": 80, "protocol": "HTTP", "allowedRoutes": everywhere}
    spec = {"gatewayClassName": "sluicegate", "listeners": [http], "allowedListeners": everywhere}
    return real("Gateway", "ingress", "edge", spec)


def own_set(namespace: str, host: str, parent: Name = GATEWAY) -> Object:
    reference = {"name": parent.name, "namespace": parent.namespace}
    listeners = [{"name": "own", "hostname": host, "port": 80, "protocol": "HTTP"}]
    return real("ListenerSet", "own", namespace, {"parentRef": reference, "listeners": listeners})


class Bench:
    """A store with Ingresses, and what serves them."""

    def __init__(self, *objects: Object, gateway: Name | None = None, **options: Any) -> None:
        self.store = StoreWithIngress(SERVED_INGRESS_KINDS)
        self.served = Served(NGINX, Options(**options), NAME, gateway)
        self.ingresses = Ingresses(self.served, self.store, dict)
        self.store.load(objects)

    def put(self, *objects: Object) -> Result:
        for item in objects:
            self.store.handle(Apply(item))
        return self.update()

    def drop(self, *keys: ObjectKey) -> Result:
        for key in keys:
            self.store.handle(Delete(key))
        return self.update()

    def update(self) -> Result:
        self.ingresses.update()
        return self.ingresses.result

    def names(self, kind: str) -> list[str]:
        return sorted(name for _, name in self.store.table(kind))

    def one(self, kind: str, name: str, namespace: str = "shop") -> Any:
        found = self.store.get(ObjectKey(kind, namespace, name))
        assert found is not None, self.names(kind)
        return found


def keys(items: Iterable[tuple[Any, ...]]) -> list[list[str]]:
    return [[item.name for item in group] for group in items]


def test_groups() -> None:
    """Whoever shares a host, one of its names or a Service is in one group; the first one names it."""
    items = [
        written("a", rule("a.test", "a")),
        written("b", rule("b.test", "b")),
        written("c", rule("A.test", "c", "/c")),
        written("d", rule("www.b.test", "d")),
        written("e", rule("e.test", "e"), server_alias="f.test, g.test"),
        written("g", rule("g.test", "g")),
        written("h", rule("h.test", "a")),
        written("i", rule("i.test", "a"), namespace="other"),
        written("k", rule("k.test", "k"), auth_tls_secret="shop/ca"),
        written("l", rule("l.test", "l"), auth_tls_secret="shop/ca"),
    ]
    found = groups(item for item in items if isinstance(item, Ingress))
    assert keys(found) == [["a", "c", "h"], ["b", "d"], ["e", "g"], ["i"], ["k", "l"]]


def test_groups_of_a_controller_whose_hosts_go_on_to_wider_ones() -> None:
    one, two, wild = (
        written(name, rule(host, name)) for name, host in (("1", "a.b.test"), ("2", "c.test"), ("3", "*.b.test"))
    )
    hostless = written("4", rule("", "4"))
    named = [item for item in (one, two, wild, hostless) if isinstance(item, Ingress)]
    assert keys(groups(named[:3], wider=True)) == [["1", "3"], ["2"]]
    assert keys(groups(named, wider=True)) == [["1", "2", "3", "4"]]
    # Without that a wildcard still has the certificate of a host below it that has none.
    assert keys(groups(named)) == [["1", "3"], ["2"], ["4"]]


def test_only_what_changed_is_converted() -> None:
    bench = Bench(*(written(f"i{n}", rule(f"h{n}.test", f"s{n}")) for n in range(5)))
    assert bench.update().converted == 5
    assert bench.update().converted == 0
    # A Service that is looked up; one that nobody names.
    assert bench.put(real("Service", "s3", "shop", {"ports": [{"port": 80}]})).converted == 1
    assert bench.put(real("Service", "s9", "shop", {"ports": [{"port": 80}]})).converted == 0
    assert bench.put(written("i2", rule("h2.test", "s2"), proxy_body_size="4m")).converted == 1
    assert bench.put(written("i5", rule("h5.test", "s5"))).converted == 1
    assert bench.drop(ObjectKey("Ingress", "shop", "i5")).converted == 0
    assert "ingress:i5:h5.test" not in bench.names("HTTPRoute")
    # Two groups become one.
    assert bench.put(written("i4", rule("h4.test", "s4"), rule("h0.test", "s4", "/4"))).converted == 1
    assert bench.names("HTTPRoute") == [
        "ingress:i0:h0.test",
        "ingress:i1:h1.test",
        "ingress:i2:h2.test",
        "ingress:i3:h3.test",
        "ingress:i4:h0.test",
        "ingress:i4:h4.test",
    ]


def test_it_comes_to_the_same_as_a_new_conversion() -> None:
    """However it came about, the store has what a new one would have."""
    bench = Bench(written("a", rule("a.test", "a"), tls="a"), written("b", rule("b.test", "b")))
    bench.update()
    bench.put(written("b", rule("a.test", "b", "/b"), limit_rpm="5"), written("c", rule("c.test", "a")))
    bench.drop(ObjectKey("Ingress", "shop", "a"))
    last = [written("b", rule("a.test", "b", "/b"), limit_rpm="5"), written("c", rule("c.test", "a"))]
    fresh = Bench(*last)
    fresh.update()
    for kind in ("Gateway", "ListenerSet", "HTTPRoute", "RateLimitPolicy", "ClientPolicy", "ReferenceGrant"):
        now, wanted = bench.store.table(kind), fresh.store.table(kind)
        assert now.keys() == wanted.keys(), kind
        assert all(item.same_content(wanted[key]) for key, item in now.items()), kind


def test_a_gateway_is_made_and_goes_with_the_last_ingress() -> None:
    bench = Bench(written("a", rule("a.test", "a")))
    bench.update()
    made = bench.one("Gateway", "ingress:gateway", "default")
    assert made.spec.gateway_class_name == "sluicegate"
    own = real("GatewayClass", "edge", "", {"controllerName": NAME})
    bench.put(own)
    assert bench.one("Gateway", "ingress:gateway", "default").spec.gateway_class_name == "edge"
    bench.drop(ObjectKey("Ingress", "shop", "a"))
    assert bench.names("Gateway") == bench.names("ListenerSet") == bench.names("HTTPRoute") == []


def test_what_is_virtual_outlives_the_lists_of_a_source() -> None:
    bench = Bench(edge(), written("a", rule("a.test", "a")), gateway=GATEWAY)
    bench.update()
    for kind in ("HTTPRoute", "ListenerSet", "Gateway"):
        bench.store.handle(Init(kind))
    # What comes to an end while a list comes in is gone at once.
    bench.drop(ObjectKey("Ingress", "shop", "a"))
    bench.put(written("b", rule("b.test", "b")))
    bench.store.handle(Apply(edge()))
    for kind in ("HTTPRoute", "ListenerSet", "Gateway"):
        assert bench.store.handle(InitDone(kind)) == []
    assert bench.names("HTTPRoute") == ["ingress:b:b.test"]
    assert bench.names("ListenerSet") == ["ingress:b.test"]


def parents(route: Any) -> list[tuple[str, str, str]]:
    return [(item.kind, item.name, item.section_name) for item in route.spec.parent_refs]


def test_a_listener_of_the_host_s_own_namespace_takes_its_place() -> None:
    """And gives it back; one of another namespace does not, nor one of another Gateway."""
    bench = Bench(edge(), written("a", rule("a.test", "a")), gateway=GATEWAY)
    bench.update()
    virtual = [("ListenerSet", "ingress:a.test", "http.a.test")]
    assert parents(bench.one("HTTPRoute", "ingress:a:a.test")) == virtual
    bench.put(own_set("shop", "a.test"))
    assert parents(bench.one("HTTPRoute", "ingress:a:a.test")) == [("ListenerSet", "own", "own")]
    assert bench.names("ListenerSet") == ["own"]
    bench.drop(ObjectKey("ListenerSet", "shop", "own"))
    assert parents(bench.one("HTTPRoute", "ingress:a:a.test")) == virtual
    for other in (own_set("elsewhere", "a.test"), own_set("shop", "a.test", Name("edge", "another"))):
        bench.put(other)
        assert parents(bench.one("HTTPRoute", "ingress:a:a.test")) == virtual


def test_of_the_same_match_the_real_route_s_holds() -> None:
    bench = Bench(edge(), written("a", rule("a.test", "a")), gateway=GATEWAY)
    bench.update()
    assert bench.one("HTTPRoute", "ingress:a:a.test").metadata.creation_timestamp == YOUNGEST
    reference = {"kind": "ListenerSet", "name": "ingress:a.test"}
    backend = {"backendRefs": [{"name": "new", "port": 80}]}
    route = {"parentRefs": [reference], "hostnames": ["a.test"], "rules": [backend]}
    bench.put(real("HTTPRoute", "new", "shop", route))
    translation = Translator(NAME, TranslatorOptions()).translate(bench.store.snapshot())
    first = min(translation.ir.http_rules.values(), key=lambda item: (item.created, item.route))
    assert first.route == "HTTPRoute/shop/new"


def test_the_gateway_asks_clients_for_certificates_and_stays_what_it_is_otherwise() -> None:
    """Also where the real one changes meanwhile; what it asks for itself holds."""
    bundle = {"ca.crt": "QQ==", "tls.crt": "QQ==", "tls.key": "QQ=="}
    ca = real("Secret", "ca", "shop", bundle)
    asking = written("a", rule("a.test", "a"), tls="a", auth_tls_secret="shop/ca")
    bench = Bench(edge(), ca, asking, gateway=GATEWAY)
    bench.update()

    def gateway() -> Gateway:
        found = bench.one("Gateway", "ingress", "edge")
        assert isinstance(found, Gateway)
        return found

    assert gateway().spec.tls.frontend is not None
    before = gateway()
    assert bench.update().events == ()
    assert gateway() is before
    changed = edge()
    assert isinstance(changed, Gateway)
    more = (*changed.spec.listeners, *changed.spec.listeners[:1])
    bench.put(replaced(changed, spec=replaced(changed.spec, listeners=more)))
    assert (gateway().spec.tls.frontend is not None, len(gateway().spec.listeners)) == (True, 2)
    bench.drop(ObjectKey("Ingress", "shop", "a"))
    assert (gateway().spec.tls.frontend, len(gateway().spec.listeners)) == (None, 2)


def test_a_group_that_raises_goes_on_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(written("a", rule("a.test", "a")), written("b", rule("b.test", "b")))
    bench.update()
    real_convert = served_module.convert

    def raising(inventory: Inventory, *rest: Any) -> Any:
        if inventory.ingresses[0].name in {"a", "c"}:
            raise KeyError("odd")
        return real_convert(inventory, *rest)

    monkeypatch.setattr(served_module, "convert", raising)
    changed = (written(name, rule(f"{name}.test", "new")) for name in ("a", "b", "c"))
    result = bench.put(*changed)
    # They share a Service now, so they are one group; what each of them had before goes on.
    assert list(result.faults) == [ObjectKey("Ingress", "shop", "c")]
    assert bench.names("HTTPRoute") == ["ingress:a:a.test", "ingress:b:b.test"]
    assert any(item.code == "fault" for item in bench.ingresses.diagnostics())
    monkeypatch.undo()
    assert not bench.put(written("a", rule("a.test", "newest"))).faults
    assert bench.names("HTTPRoute") == ["ingress:a:a.test", "ingress:b:b.test", "ingress:c:c.test"]


def test_ingresses_of_other_classes_are_left_alone() -> None:
    mine, other = written("a", rule("a.test", "a")), written("b", rule("b.test", "b"))
    other = replaced(other, spec=replaced(other.spec, ingress_class_name="other"))
    bench = Bench(mine, other, ingress_class="nginx", other_classes=("third",))
    result = bench.update()
    assert result.selected == {mine.key}
    assert bench.names("HTTPRoute") == ["ingress:a:a.test"]
    assert [loss.object for loss in result.left_out] == ["Ingress/shop/b"]


def test_what_is_told_is_told_of_the_ingress() -> None:
    bench = Bench(written("a", rule("a.test", "gone"), configuration_snippet="deny all;"))
    bench.update()
    translation = Translator(NAME, TranslatorOptions()).translate(bench.store.snapshot())
    told = [found for item in translation.diagnostics if (found := bench.ingresses.told(item)) is not None]
    assert {item.object for item in told} == {"Ingress/shop/a"}
    assert any(item.code == "backend-not-found" and item.field == "spec.rules[0].http.paths[0]" for item in told)
    assert bench.ingresses.named("route HTTPRoute/shop/ingress:a:a.test: x") == "route Ingress/shop/a: x"
    losses = list(bench.ingresses.diagnostics())
    assert {(item.code, item.field) for item in losses} == {
        ("ingress-loss", f"{PREFIX}configuration-snippet"),
        ("ingress-difference", "spec.rules[0].host"),  # port 443 serves it too, in ingress-nginx
    }
    real_route = ObjectKey("HTTPRoute", "shop", "a")
    assert bench.ingresses.owner(real_route) is None


def test_a_listener_set_of_a_host_has_nothing_of_other_hosts() -> None:
    bench = Bench(written("a", rule("a.test", "a"), rule("*.a.test", "a"), tls="a"))
    bench.update()
    found = {name: bench.one("ListenerSet", name) for name in bench.names("ListenerSet")}
    assert found.keys() == {"ingress:a.test", "ingress:*.a.test"}
    assert all(isinstance(item, ListenerSet) for item in found.values())
    assert [item.name for item in found["ingress:a.test"].spec.listeners] == ["http.a.test", "https.a.test"]

"""Ingresses on the real cluster: served by the name of their class, and moved to HTTPRoutes and back under load.

The controller is installed as deploy/README.md says under "Ingresses", and the commands of the move are those of
docs/migration/serving.md.
"""

from __future__ import annotations

import base64
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from api import KINDS, Api, Object, condition, is_ready, kubectl, read
from harness import install
from harness.paths import KUBECONFIG
from system_certificates import Authority, Pair
from system_clients import tls_context
from traffic import Load, certificate, get, until

from conftest import ROOT

HOST, OTHER = "shop.example.com", "api.example.com"
GATEWAY = ("Gateway", install.SYSTEM, "ingress")
KINDS.setdefault("Ingress", ("networking.k8s.io/v1", "ingresses", True))

#: What a chart has that knows nothing but Ingress.
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: shop
  annotations:
    nginx.ingress.kubernetes.io/proxy-body-size: 8m
spec:
  ingressClassName: CLASS
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, backend: {service: {name: example-svc, port: {number: 8080}}}}
      - {path: /cart, pathType: Prefix, backend: {service: {name: example-svc, port: {number: 8080}}}}
  - host: api.example.com
    http:
      paths:
      - {path: /v1, pathType: Prefix, backend: {service: {name: example-svc, port: {number: 8080}}}}
"""


@pytest.fixture(scope="module")
def address(api: Api, controller: None) -> Iterator[str]:
    """The controller serves Ingresses; the address of their Gateway."""
    folder = ROOT / "deploy" / "ingress"
    kubectl("apply", "--server-side", "--force-conflicts", "-k", folder)
    kubectl("rollout", "status", "--namespace", install.SYSTEM, install.CONTROLLER, "--timeout=120s")
    try:
        gateway = api.until(*GATEWAY, lambda item: condition(item, "Programmed") == "True", 120)
        yield str(gateway["status"]["addresses"][0]["value"])
    finally:
        api.delete(*GATEWAY)
        for kind, name in (
            ("ingressclass", "sluicegate"),
            ("clusterrolebinding", "sluicegate-controller-ingress"),
            ("clusterrole", "sluicegate-controller-ingress"),
        ):
            kubectl("delete", kind, name, "--ignore-not-found")
        kubectl("apply", "--server-side", "--force-conflicts", "-k", ROOT / "deploy" / "controller")
        kubectl("rollout", "status", "--namespace", install.SYSTEM, install.CONTROLLER, "--timeout=120s")


@pytest.fixture
def shop(api: Api, address: str, namespace: str) -> Iterator[str]:
    """A namespace with the Ingress, which is served; it is gone before another test has one of the same host."""
    api.apply(read(ROOT / "examples" / "cluster" / "example-svc.yaml"), namespace)
    api.until("Deployment", namespace, "example-svc", is_ready)
    api.apply(INGRESS.replace("CLASS", "sluicegate"), namespace)
    until(address, HOST)
    yield namespace
    api.delete("Ingress", namespace, "shop")
    api.gone("Ingress", namespace, "shop")


def reported(item: Object) -> list[Object]:
    """The addresses that an Ingress reports."""
    return list(item.get("status", {}).get("loadBalancer", {}).get("ingress", []))


def migrate(*arguments: str) -> str:
    command = [sys.executable, "-m", "sluicegate", "migrate", "--kubernetes", f"--kubeconfig={KUBECONFIG}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode in {0, 3}, done.stdout + done.stderr
    return done.stdout


def accepted(item: Object) -> bool:
    """Whether all parents of a route accept it."""
    parents = item.get("status", {}).get("parents", [])
    return bool(parents) and all(
        any(found["type"] == "Accepted" and found["status"] == "True" for found in parent["conditions"])
        for parent in parents
    )


def test_an_ingress_is_served_by_its_class_and_reports_the_address(api: Api, shop: str, address: str) -> None:
    api.until("Ingress", shop, "shop", lambda item: reported(item) == [{"ip": address}])
    assert get(address, HOST, "/cart/x").status == 200
    assert [get(address, OTHER, path).status for path in ("/v1/x", "/")] == [200, 404]
    assert get(address, "nowhere.example.com").status == 404
    # Of another class: it is served no longer, and no longer reports our address.
    api.patch("Ingress", shop, "shop", {"spec": {"ingressClassName": "other"}})
    until(address, HOST, status=404)
    api.until("Ingress", shop, "shop", lambda item: reported(item) == [])


def test_tls_of_an_ingress_by_its_class(api: Api, shop: str, address: str) -> None:
    """A Secret that comes after its Ingress, and one that is renewed while clients ask."""
    authority = Authority()
    tls = tls_context(authority.pem)
    pairs = [authority.sign(HOST) for _ in range(2)]
    # Its host has no certificate yet: it is not served by TLS, and plain HTTP is sent there as ingress-nginx does.
    api.patch("Ingress", shop, "shop", {"spec": {"tls": [{"hosts": [HOST], "secretName": "shop-tls"}]}})
    until(address, HOST, status=308)
    api.apply([tls_secret("shop-tls", pairs[0])], shop)
    until(address, HOST, "/cart", port=443, tls=tls)
    assert get(address, HOST, "/cart").headers["location"] == f"https://{HOST}/cart"
    assert get(address, OTHER, "/v1/x").status == 200
    api.until("Ingress", shop, "shop", lambda item: reported(item) == [{"ip": address}])
    assert certificate(address, HOST, tls) == der(pairs[0])
    with Load(address, HOST, "/cart", port=443, tls=tls) as load:
        api.apply([tls_secret("shop-tls", pairs[1])], shop)
        shown(address, tls, der(pairs[1]))
        load.more(50)
    load.check(at_least=50)
    # Without its Secret the host is served no longer by TLS; the other one goes on.
    api.delete("Secret", shop, "shop-tls")
    assert get(address, OTHER, "/v1/x").status == 200


def tls_secret(name: str, pair: Pair) -> Object:
    content = {"tls.crt": pair.certificate, "tls.key": pair.key}
    data = {key: base64.b64encode(value).decode() for key, value in content.items()}
    metadata = {"name": name}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}


def der(pair: Pair) -> bytes:
    """The certificate as TLS shows it."""
    return ssl.PEM_cert_to_DER_cert(pair.certificate.decode())


def shown(address: str, tls: ssl.SSLContext, wanted: bytes) -> None:
    """Wait until the host shows a certificate: no API tells when every thread has it."""
    deadline, pause = time.monotonic() + 30, threading.Event()
    while certificate(address, HOST, tls) != wanted:
        assert time.monotonic() < deadline, "the other certificate is still shown"
        pause.wait(0.05)


def test_what_does_not_hold_is_an_event(api: Api, shop: str) -> None:
    annotations = {
        "nginx.ingress.kubernetes.io/auth-type": "digest",
        "nginx.ingress.kubernetes.io/auth-secret": "users",
    }
    api.patch("Ingress", shop, "shop", {"metadata": {"annotations": annotations}})
    path = f"/apis/events.k8s.io/v1/namespaces/{shop}/events"
    found = api.watch(path, "reason=NotConverted", lambda _, item: "auth-type" in item["note"], 60)
    assert found["regarding"]["name"] == "shop"


def test_a_move_to_routes_and_back_drops_no_request(api: Api, shop: str, address: str) -> None:
    """By the commands of the guide, while four clients ask without a pause; the address stays."""
    options = ("--ingress-class", "sluicegate", "--gateway", f"{install.SYSTEM}/ingress", "--existing-gateway")
    with Load(address, HOST, "/cart") as load, Load(address, OTHER, "/v1") as other:
        told = migrate(*options, "--apply", "--yes")
        assert "created" in told
        routes = [item["metadata"]["name"] for item in api.list("HTTPRoute", shop)]
        assert routes
        for name in routes:
            api.until("HTTPRoute", shop, name, accepted)
        until(address, HOST)
        # Both are there; then the Ingress goes.
        between = load.succeeded
        api.delete("Ingress", shop, "shop")
        api.gone("Ingress", shop, "shop")
        until(address, HOST, "/cart")
        assert [get(address, OTHER, path).status for path in ("/v1/x", "/")] == [200, 404]
        # And back: the Ingress first, then the routes and listeners go.
        api.apply(INGRESS.replace("CLASS", "sluicegate"), shop)
        api.until("Ingress", shop, "shop", lambda item: reported(item) == [{"ip": address}])
        for kind in ("HTTPRoute", "ClientPolicy", "ListenerSet"):
            for item in api.list(kind, shop):
                api.delete(kind, shop, item["metadata"]["name"])
        until(address, HOST)
        assert load.succeeded > between
    load.check(at_least=200)
    other.check(at_least=200)
    print(f"{load.succeeded + other.succeeded} requests, the slowest {max(load.slowest, other.slowest):.3f} s")


def test_a_route_takes_over_one_path(api: Api, shop: str, address: str) -> None:
    """By the listener that the Ingress has, without a listener of its own."""
    filters = [
        {
            "type": "RequestRedirect",
            "requestRedirect": {"path": {"type": "ReplaceFullPath", "replaceFullPath": "/new"}, "statusCode": 302},
        }
    ]
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "cart", "namespace": shop},
        "spec": {
            "parentRefs": [{"kind": "ListenerSet", "name": f"ingress:{HOST}"}],
            "hostnames": [HOST],
            "rules": [{"matches": [{"path": {"type": "PathPrefix", "value": "/cart"}}], "filters": filters}],
        },
    }
    api.create(route)
    api.until("HTTPRoute", shop, "cart", accepted)
    until(address, HOST, "/cart", status=302)
    assert get(address, HOST, "/").status == 200
    api.delete("HTTPRoute", shop, "cart")
    until(address, HOST, "/cart")

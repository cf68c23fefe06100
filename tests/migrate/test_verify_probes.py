"""Requests that are asked: of every host, path and annotation, the same each time, and never too many."""

from __future__ import annotations

from generated_ingresses import generated
from ingress_objects import ingress, inventory_of

from sluicegate.controller.ingress.probes import MAX_PER_HOST, Probe, plan

ANNOTATIONS = {
    "canary-by-header": "X-Canary",
    "canary-by-header-value": "mine",
    "canary-by-cookie": "side",
    "allowlist-source-range": "10.0.0.0/8",
    "enable-cors": "true",
    "cors-allow-origin": "https://*.example.org",
    "auth-type": "basic",
}


def probes(*documents: dict[str, object], seed: int = 0) -> list[Probe]:
    return list(plan(inventory_of(documents).ingresses, seed))


def test_edges_of_paths() -> None:
    found = {item.target for item in probes(ingress(paths=[("/Api.v1", "Prefix", "web")]))}
    assert {
        "/Api.v1",
        "/Api.v1/",
        "/Api.v1/below/it",
        "/Api.v1x",
        "/Api.v",
        "/aPI.V1",
        "/Apixv1",
        "//Api.v1",
        "/other/../Api.v1",
        "/Api.v1/./below",
        "/%41pi.v1",
        "/Api.v1%2Fbelow",
        "/Api.v1?a=1&b=%20/",
        "/",
        "/unlisted",
    } <= found


def test_edges_of_hosts() -> None:
    found = {
        (item.scheme, item.host) for item in probes(ingress(), ingress("any", "*.example.org"), ingress("all", ""))
    }
    for scheme in ("http", "https"):
        for host in (
            "shop.example.com",
            "SHOP.EXAMPLE.COM",
            "shop.example.com:8080",
            "shop.example.com.",
            "below.shop.example.com",
            "one.example.org",
            "two.labels.example.org",
            "example.org",
            "unlisted.invalid",
        ):
            assert (scheme, host) in found


def test_annotations_are_told_apart() -> None:
    found = probes(ingress(annotations=ANNOTATIONS))
    headers = {pair for item in found for pair in item.headers}
    assert {
        ("x-canary", "always"),
        ("x-canary", "never"),
        ("x-canary", "mine"),
        ("cookie", "other=1; side=always"),
    } <= headers
    assert {"10.0.0.0", "10.255.255.255", "11.0.0.0"} <= {item.client for item in found}
    assert ("origin", "https://sub.example.org") in headers
    assert any(item.method == "OPTIONS" and item.field("access-control-request-method") for item in found)
    assert any(item.method == "OPTIONS" and not item.field("origin") for item in found)
    assert any(item.user for item in found)


def test_a_request_is_a_curl_line() -> None:
    found = Probe(method="POST", scheme="https", host="a.example.com", target="/x y'z", headers=(("a", "b c"),))
    assert found.curl == """curl -ik --path-as-is -X POST -H 'a: b c' 'https://a.example.com/x y'"'"'z'"""


def test_the_same_seed_gives_the_same_requests() -> None:
    documents = generated(7)
    assert probes(*documents) == probes(*documents)
    many = [ingress(paths=[(f"/p{number}", "Prefix", "web") for number in range(64)], annotations=ANNOTATIONS)]
    assert probes(*many) == probes(*many)
    assert probes(*many) != probes(*many, seed=1)


def test_a_host_has_so_many_requests_at_most() -> None:
    found = probes(ingress(paths=[(f"/p{number}", "Prefix", "web") for number in range(500)], annotations=ANNOTATIONS))
    own = [item for item in found if "shop.example.com" in item.host.lower()]
    assert len(own) == MAX_PER_HOST
    assert len({item.target for item in own}) > MAX_PER_HOST / 4

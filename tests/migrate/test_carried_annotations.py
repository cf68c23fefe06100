"""Annotations of cert-manager and external-dns: where they go, and what is told of the others."""

from __future__ import annotations

from typing import Any

import pytest
from ingress_objects import ingress, verified

OLD, NEW = "external-dns.alpha.kubernetes.io/", "external-dns.kubernetes.io/"


def made(name: str, host: str, annotations: dict[str, str], **more: Any) -> dict[str, Any]:
    """An Ingress with annotations that are nobody's of ingress-nginx."""
    found = ingress(name, host, tls=True, **more)
    found["metadata"]["annotations"] = annotations
    return found


@pytest.mark.parametrize("prefix", [OLD, NEW])
def test_external_dns_finds_each_annotation_where_it_reads_it(prefix: str) -> None:
    annotations = {f"{prefix}target": "192.0.2.1", f"{prefix}ttl": "60", f"{prefix}hostname": "x.example.com"}
    _, conversion = verified([made("web", "shop.example.com", annotations)])
    by_kind = {item.kind: item.annotations for item in conversion.objects if item.annotations}
    assert by_kind["Gateway"] == {f"{prefix}target": "192.0.2.1"}
    assert by_kind["HTTPRoute"] == {f"{prefix}ttl": "60", f"{prefix}hostname": "x.example.com"}


def test_hosts_that_lead_elsewhere_have_listeners_of_their_own() -> None:
    objects = [
        made("one", "one.example.com", {f"{OLD}target": "192.0.2.1", "cert-manager.io/issuer": "ours"}),
        made("two", "two.example.com", {f"{OLD}target": "192.0.2.2", "cert-manager.io/issuer": "ours"}),
        made("three", "three.example.com", {"cert-manager.io/issuer": "ours"}),
    ]
    _, conversion = verified(objects)
    led = {
        listener["hostname"]: item.annotations.get(f"{OLD}target", "")
        for item in conversion.objects
        if item.kind in {"Gateway", "ListenerSet"}
        for listener in item.document["spec"]["listeners"]
        if "hostname" in listener
    }
    assert led == {"one.example.com": "192.0.2.1", "two.example.com": "192.0.2.2", "three.example.com": ""}


def test_a_host_without_a_target_has_none_of_its_neighbours() -> None:
    plain = ingress("two", "two.example.com")
    _, conversion = verified([made("one", "one.example.com", {f"{NEW}target": "192.0.2.1"}), plain])
    for item in conversion.objects:
        names = {listener.get("hostname") for listener in item.document.get("spec", {}).get("listeners", ())}
        assert not {"one.example.com", "two.example.com"} <= names
        assert (f"{NEW}target" in item.annotations) == ("one.example.com" in names)


def test_a_second_target_of_a_host_is_told() -> None:
    objects = [
        made("one", "shop.example.com", {f"{OLD}target": "192.0.2.1"}),
        made("two", "shop.example.com", {f"{OLD}target": "192.0.2.2"}, paths=[("/b", "Prefix", "web")]),
    ]
    _, conversion = verified(objects)
    told = [
        (item.object, item.subject, item.fate) for item in conversion.losses if "the names of the host" in item.message
    ]
    # Of Ingresses of one second the last one by name is the first.
    assert told == [("Ingress/shop/one", f"{OLD}target", "no-equivalent")]


@pytest.mark.parametrize(
    "name",
    ["acme.cert-manager.io/http01-edit-in-place", f"{OLD}ingress-hostname-source", f"{NEW}ingress-hostname-source"],
)
def test_what_is_read_of_ingresses_alone_is_told(name: str) -> None:
    _, conversion = verified([made("web", "shop.example.com", {name: "true"})])
    assert [(item.subject, item.fate) for item in conversion.losses if item.subject == name] == [
        (name, "no-equivalent")
    ]
    assert all(name not in item.annotations for item in conversion.objects)

"""Default backends: which of several holds, and that the others are told."""

from __future__ import annotations

import pytest
from ingress_objects import ingress, silent, verified

FALLBACK = {"service": {"name": "fallback", "port": {"number": 80}}}


@pytest.mark.parametrize("created", ["2025-01-01", "2026-01-02", "2026-03-01"])
@pytest.mark.parametrize("name", ["a-fallback", "z-fallback"])
def test_whoever_serves_all_other_hosts_goes_before_a_rule_of_any_age(name: str, created: str) -> None:
    app = ingress("app", "", [("/", "Prefix", "app"), ("/api", "Prefix", "api")], created="2026-01-02T00:00:00Z")
    default = ingress(name, "", (), created=f"{created}T00:00:00Z", defaultBackend=FALLBACK)
    found, conversion = verified([app, default])
    assert silent(found) == []
    assert found.unnamed == 0
    services = {
        rule["matches"][0]["path"]["value"]: rule["backendRefs"][0]["name"]
        for item in conversion.objects
        if item.kind == "HTTPRoute"
        for rule in item.document["spec"]["rules"]
    }
    assert services == {"/": "fallback", "/api": "api"}
    told = [(item.object, item.message) for item in conversion.losses if "was not served" in item.message]
    message = (
        f"Ingress/shop/{name} has / of this host by its default backend, which goes before rules "
        f"(Ingress/shop/{name}): it was not served"
    )
    assert told == [("Ingress/shop/app", message)]


def test_the_first_of_two_that_serve_all_other_hosts_holds() -> None:
    younger = ingress("a", "", (), created="2026-02-01T00:00:00Z", defaultBackend=FALLBACK)
    older = ingress("b", "", (), created="2026-01-01T00:00:00Z", defaultBackend=FALLBACK)
    found, conversion = verified([younger, older])
    assert found.unnamed == 0
    assert [item.object for item in conversion.losses if "first (" in item.message] == ["Ingress/shop/a"]


@pytest.mark.parametrize("paths", [(), [("/", "Prefix", "web")]], ids=["alone", "beside a rule"])
def test_one_that_is_no_service_is_told(paths: list[tuple[str, ...]]) -> None:
    bucket = {"resource": {"apiGroup": "storage.example.com", "kind": "Bucket", "name": "static"}}
    found, conversion = verified([ingress(paths=paths, defaultBackend=bucket)])
    assert silent(found) == []
    told = [(item.fate, item.message) for item in conversion.losses if item.subject == "spec.defaultBackend"]
    assert told == [("invalid", "it is no Service: it did nothing")]


def test_a_second_default_backend_of_a_host_is_told() -> None:
    one = ingress("p", paths=[("/a", "Prefix", "web")], created="2025-01-01T00:00:00Z", defaultBackend=FALLBACK)
    other = ingress("q", paths=[("/b", "Prefix", "web")], defaultBackend=FALLBACK)
    found, conversion = verified([one, other])
    assert silent(found) == []
    told = [item for item in conversion.losses if item.subject == "spec.defaultBackend"]
    assert [(item.object, item.host, item.fate) for item in told] == [("Ingress/shop/q", "shop.example.com", "invalid")]
    assert "this one did nothing" in told[0].message


@pytest.mark.parametrize("host", ["", "shop.example.com"])
@pytest.mark.parametrize("kind", ["Exact", "Prefix"])
def test_a_path_beside_that_of_the_controller_is_protected(host: str, kind: str) -> None:
    """For a host without a name the controller has a `/` of its own, which has nothing of an Ingress."""
    annotations = {"auth-type": "basic", "auth-secret": "users", "allowlist-source-range": "10.0.0.0/8"}
    found, conversion = verified([ingress(host=host, paths=[("/", kind, "web")], annotations=annotations)])
    assert silent(found) == []
    policies = [item.document["spec"].keys() for item in conversion.objects if item.kind == "AccessPolicy"]
    assert [keys >= {"basic", "authorization"} for keys in policies] == [True]

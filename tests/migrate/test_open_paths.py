"""Paths where ingress-nginx asks nobody for credentials (`no-auth-locations`): a CA reads its token there."""

from __future__ import annotations

import pytest
from ingress_objects import config_map, ingress, silent, verified

TOKEN = "/.well-known/acme-challenge/token"
PATHS = [(TOKEN, "solver"), ("/", "Prefix", "web")]
GLOBAL = {"global-auth-url": "http://login.shop.svc.cluster.local/check"}
PASSWORD = {"auth-type": "basic", "auth-secret": "users"}
LISTED = {"allowlist-source-range": "10.0.0.0/8"}


@pytest.mark.parametrize(
    ("annotations", "settings"),
    [
        (PASSWORD, {}),
        ({"auth-url": "http://login.shop.svc.cluster.local/check"}, {}),
        ({}, GLOBAL),
        ({**PASSWORD, **LISTED, "satisfy": "any"}, {}),
        ({**PASSWORD, **LISTED, "use-regex": "true"}, {}),
        (PASSWORD, {"no-auth-locations": "/health"}),
        (PASSWORD, {"no-auth-locations": "/health,/.well-known"}),
    ],
    ids=str,
)
def test_nobody_is_asked_where_a_ca_reads_its_token(annotations: dict[str, str], settings: dict[str, str]) -> None:
    made = ingress(paths=PATHS, annotations=annotations)
    found, conversion = verified([made, config_map("settings", settings)])
    assert silent(found) == []
    protected = {
        target["name"]
        for item in conversion.objects
        if item.kind == "AccessPolicy" and {"basic", "external"} & item.document["spec"].keys()
        for target in item.document["spec"]["targetRefs"]
    }
    serving = {
        backend["name"]: item.name
        for item in conversion.objects
        if item.kind == "HTTPRoute"
        for rule in item.document["spec"]["rules"]
        for backend in rule.get("backendRefs", ())
    }
    is_open = settings.get("no-auth-locations") != "/health"
    assert (serving["solver"] in protected, serving["web"] in protected) == (not is_open, True)


@pytest.mark.parametrize("host", ["", "shop.example.com"])
@pytest.mark.parametrize("kind", ["Exact", "Prefix"])
@pytest.mark.parametrize("paths", [[], [(TOKEN, "solver")]], ids=["alone", "beside a token"])
def test_a_path_beside_that_of_the_controller_is_protected(host: str, kind: str, paths: list[tuple[str, str]]) -> None:
    """For a host without a name the controller has a `/` of its own, which has nothing of an Ingress."""
    made = ingress(host=host, paths=[("/", kind, "web"), *paths], annotations={**PASSWORD, **LISTED})
    found, conversion = verified([made])
    assert silent(found) == []
    policies = {
        target["name"]: item.document["spec"].keys()
        for item in conversion.objects
        if item.kind == "AccessPolicy"
        for target in item.document["spec"]["targetRefs"]
    }
    serving = next(
        item.name
        for item in conversion.objects
        if item.kind == "HTTPRoute"
        for rule in item.document["spec"]["rules"]
        for backend in rule.get("backendRefs", ())
        if backend["name"] == "web"
    )
    assert policies[serving] >= {"basic", "authorization"}


def test_what_cannot_be_asked_for_still_closes_all_else() -> None:
    made = ingress(paths=PATHS, annotations={"auth-url": "http://login.shop.svc.cluster.local/check?a=<b>"})
    found, conversion = verified([made])
    assert silent(found) == []
    rules = [rule for item in conversion.objects if item.kind == "HTTPRoute" for rule in item.document["spec"]["rules"]]
    assert [backend["name"] for rule in rules for backend in rule.get("backendRefs", ())] == ["solver"]

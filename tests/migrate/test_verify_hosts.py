"""Ingresses of several hosts, and hosts that nobody is served of: what is answered otherwise is named."""

from __future__ import annotations

from typing import Any

import pytest
from ingress_objects import ingress, silent, verified

from sluicegate.controller.ingress import Name

SERVED = "the rule without a host has these names too, and goes first: it serves them"
CERTIFIED = "a certificate of shop.example.com was its own there, and sent it to https"


@pytest.mark.parametrize("tls", ["", "of the host", "without a Secret", "of another host"])
def test_other_names_of_an_ingress_with_a_rule_without_a_host_are_that_rules(tls: str) -> None:
    made = ingress(annotations={"server-alias": "c.example.com"}, tls=tls == "of the host")
    backend = {"service": {"name": "others", "port": {"number": 80}}}
    made["spec"]["rules"].append({"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}})
    if tls in {"without a Secret", "of another host"}:
        entry = {"hosts": ["shop.example.com"]} if tls == "without a Secret" else {"hosts": ["x.example.org"]}
        made["spec"]["tls"] = [entry | ({"secretName": "x"} if tls == "of another host" else {})]
    found, conversion = verified([made])
    assert silent(found) == []
    told = {(item.host, item.message) for item in conversion.losses if item.subject.endswith("server-alias")}
    certified = {("c.example.com", CERTIFIED)} if tls in {"of the host", "without a Secret"} else set()
    assert told == {("shop.example.com", SERVED), *certified}


@pytest.mark.parametrize(("first", "second"), [(False, False), (False, True), (True, False), (True, True)])
def test_a_name_of_two_hosts_has_the_certificate_of_either_there(first: bool, second: bool) -> None:
    alias = {"server-alias": "c.example.com"}
    made = [
        ingress("a", "a.example.com", annotations=alias, tls=first),
        ingress("b", "b.example.com", annotations=alias, tls=second, created="2026-01-02T00:00:00Z"),
    ]
    found, conversion = verified(made)
    assert silent(found) == []
    told = [item.message for item in conversion.losses if item.host == "c.example.com"]
    lent = ["a certificate of b.example.com was its own there, and sent it to https"]
    assert told == (lent if second and not first else [])


def three_of_a_path(annotations: dict[str, str]) -> list[dict[str, Any]]:
    """ingress-nginx looks at the first of a path alone, and has the third then, though no request gets to it."""
    return [
        ingress("a", paths=[("/login", "Exact", "web")]),
        ingress("b", paths=[("/login", "Prefix", "web")]),
        ingress("c", paths=[("/login", "Prefix", "web")], annotations=annotations),
    ]


@pytest.mark.parametrize("regex", [False, True])
@pytest.mark.parametrize("root", ["", "/", "/other"])
@pytest.mark.parametrize("tls", [False, True])
def test_a_path_that_another_one_hides_sends_the_root_elsewhere_all_the_same(regex: bool, root: str, tls: bool) -> None:
    made = three_of_a_path({"app-root": "/app"})
    for item in made:
        item["spec"]["tls"] = [{"hosts": ["shop.example.com"], "secretName": "tls"}] if tls else []
    if root:
        made.append(ingress("d", paths=[(root, "Prefix", "web")], annotations={"app-root": "/d"}))
    if regex:
        made.append(ingress("e", paths=[("/e", "Prefix", "web")], annotations={"use-regex": "true"}))
    found, conversion = verified(made, default_certificate=Name("shop", "default"))
    assert silent(found) == []
    rules = [rule for item in conversion.objects if item.kind == "HTTPRoute" for rule in item.content["rules"]]
    match = {"path": {"type": "Exact", "value": "/"}}
    sent = [rule["filters"][0]["requestRedirect"] for rule in rules if match in rule["matches"]]
    # Of paths of one length nginx takes the later text first.
    path = "/d" if root == "/other" else "/app"
    assert sent == [{"path": {"type": "ReplaceFullPath", "replaceFullPath": path}, "statusCode": 302}]
    others = {
        item.message for item in conversion.losses if item.subject.endswith("app-root") and item.fate == "invalid"
    }
    first = f"Ingress/shop/{'d' if root == '/other' else 'c'}"
    assert others == ({f"{first} sends / elsewhere first"} if root else set())


@pytest.mark.parametrize("secret", ["other/ca", "ca"])
@pytest.mark.parametrize("tls", [False, True])
def test_nobody_is_sent_elsewhere_where_nobody_is_answered(secret: str, tls: bool) -> None:
    annotations = {"auth-tls-secret": secret, "app-root": "/app"}
    made = ingress(annotations=annotations, paths=[("/", "Prefix", "web"), ("/x/", "Prefix", "web")], tls=tls)
    found, conversion = verified([made])
    assert silent(found) == []
    assert not any(item.name.endswith("-redirects") for item in conversion.objects)


def test_a_host_in_capitals_is_told() -> None:
    found, conversion = verified([ingress(host="Shop.Example.com", tls=True)])
    assert silent(found) == []
    told = [item for item in conversion.losses if "capitals" in item.message]
    assert [(item.host, item.value, item.fate) for item in told] == [
        ("shop.example.com", "Shop.Example.com", "invalid")
    ]

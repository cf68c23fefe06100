"""Ingresses of several hosts, and hosts that nobody is served of: what is answered otherwise is named."""

from __future__ import annotations

import pytest
from ingress_objects import ingress, silent, verified


def test_other_names_of_an_ingress_with_a_rule_without_a_host_are_that_rules() -> None:
    made = ingress(annotations={"server-alias": "c.example.com"})
    backend = {"service": {"name": "others", "port": {"number": 80}}}
    made["spec"]["rules"].append({"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}})
    found, conversion = verified([made])
    assert silent(found) == []
    told = {(item.host, item.message) for item in conversion.losses if item.subject.endswith("server-alias")}
    assert told == {
        ("shop.example.com", "the rule without a host has these names too, and goes first: it serves them"),
        ("c.example.com", "a certificate of shop.example.com was its own there, and sent it to https"),
    }


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

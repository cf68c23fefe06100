"""Which certificate a host has that no `spec.tls` lists: one that has its name, as ingress-nginx finds it.

Source: `extractTLSSecretName` of `controller.go`: who lists the host goes before whose certificate has its name.
"""

from __future__ import annotations

import base64
from typing import Any

import pytest
from ingress_objects import ingress, silent, verified
from system_certificates import Authority

from sluicegate.checks import certificate_names

Document = dict[str, Any]


def secret(authority: Authority, name: str, *hosts: str) -> Document:
    pair = authority.sign(*hosts)
    data = {"tls.crt": pair.certificate, "tls.key": pair.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": name, "namespace": "shop"},
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


def certificates(*documents: Document) -> dict[str, str]:
    """The Secret of each HTTPS listener, by its host; what differs has to be named."""
    found, conversion = verified(documents, certificate_names=certificate_names)
    assert silent(found) == []
    return {
        listener["hostname"]: listener["tls"]["certificateRefs"][0]["name"]
        for item in conversion.objects
        if item.kind in {"Gateway", "ListenerSet"}
        for listener in item.document["spec"]["listeners"]
        if listener["protocol"] == "HTTPS"
    }


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("shop.example.com", "www.example.com"), {"shop.example.com": "pair", "www.example.com": "pair"}),
        (("*.example.com",), {"shop.example.com": "pair", "www.example.com": "pair"}),
        (("shop.example.com",), {"shop.example.com": "pair"}),
        (("example.com", "*.www.example.com"), {"shop.example.com": "pair"}),
    ],
    ids=str,
)
def test_a_host_that_is_not_listed(authority: Authority, names: tuple[str, ...], expected: dict[str, str]) -> None:
    made = ingress(tls=True)
    made["spec"]["tls"][0]["secretName"] = "pair"
    made["spec"]["rules"].append({**made["spec"]["rules"][0], "host": "www.example.com"})
    assert certificates(made, secret(authority, "pair", *names)) == expected


def test_who_lists_the_host_goes_first(authority: Authority) -> None:
    made = ingress()
    made["spec"]["tls"] = [{"secretName": "wide"}, {"hosts": ["shop.example.com"], "secretName": "own"}]
    pairs = [secret(authority, "wide", "*.example.com"), secret(authority, "own", "shop.example.com")]
    assert certificates(made, *pairs) == {"shop.example.com": "own"}


def test_a_certificate_for_no_listed_host_is_for_its_own_names(authority: Authority) -> None:
    made = ingress()
    made["spec"]["tls"] = [{"secretName": "other"}, {"secretName": "fitting"}]
    pairs = [secret(authority, "other", "other.example.net"), secret(authority, "fitting", "shop.example.com")]
    assert certificates(made, *pairs) == {"shop.example.com": "fitting"}


def test_a_secret_that_cannot_be_read_is_taken_to_fit() -> None:
    made = ingress()
    made["spec"]["tls"] = [{"secretName": "unknown"}]
    assert certificates(made) == {"shop.example.com": "unknown"}

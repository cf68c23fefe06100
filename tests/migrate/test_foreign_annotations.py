"""Annotations that the controller never read: another one's, and those of old names."""

from __future__ import annotations

import pytest
from ingress_objects import PREFIX, ingress, verified


@pytest.mark.parametrize(
    ("name", "fate", "words"),
    [
        ("nginx.org/client-max-body-size", "dropped-harmless", "F5's controller reads it, and nobody else"),
        ("traefik.ingress.kubernetes.io/router.tls", "dropped-harmless", "Traefik reads it, and nobody else"),
        ("ingress.kubernetes.io/proxy-body-size", "dropped-harmless", f"{PREFIX}proxy-body-size is there"),
        ("ingress.kubernetes.io/limit-rps", "unknown-annotation", f"write {PREFIX}limit-rps"),
        ("ingress.kubernetes.io/ssl-redirect", "unknown-annotation", f"write {PREFIX}ssl-redirect"),
        ("ingress.kubernetes.io/rate-limit", "unknown-annotation", "write `limit-rps`"),
    ],
)
def test_it_is_told_that_it_never_did_anything(name: str, fate: str, words: str) -> None:
    made = ingress(annotations={"proxy-body-size": "2m"})
    made["metadata"]["annotations"][name] = "1"
    _, conversion = verified([made])
    told = [item for item in conversion.fates if item.subject == name]
    assert [item.fate for item in told] == [fate]
    assert words in f"{told[0].message}; {told[0].remedy}"


@pytest.mark.parametrize("name", ["example.com/owner", "meta.helm.sh/release-name", "kubernetes.io/description"])
def test_what_is_nobodys_is_no_business_of_a_report(name: str) -> None:
    made = ingress()
    made["metadata"]["annotations"][name] = "1"
    _, conversion = verified([made])
    assert [item for item in conversion.fates if item.subject == name] == []

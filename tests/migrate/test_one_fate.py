"""Each annotation has one fate: what nothing came of is not told as converted besides."""

from __future__ import annotations

import pytest
from ingress_objects import PREFIX, ingress, silent, verified


@pytest.mark.parametrize(
    ("name", "value", "fate"),
    [
        ("permanent-redirect", "javascript:alert(1)", "no-equivalent"),
        ("auth-url", "https://auth.example.com/x?rd=$scheme://$host$request_uri", "no-equivalent"),
        ("auth-url", "", "dropped-harmless"),
        ("affinity", " ", "dropped-harmless"),
        ("configuration-snippet", "", "converted-with-difference"),
        ("affinity", "cookie", "converted-with-difference"),
        ("proxy-body-size", "8m", "converted"),
    ],
)
def test_an_annotation_has_one_fate(name: str, value: str, fate: str) -> None:
    found, conversion = verified([ingress(annotations={name: value}, tls=True)])
    assert [item.fate for item in conversion.fates if item.subject == f"{PREFIX}{name}"] == [fate]
    assert silent(found) == []


def test_one_host_may_have_what_another_one_has_lost() -> None:
    """Both are told: they are of two hosts."""
    made = ingress(annotations={"auth-url": "http://$host/x"}, paths=[("/x", "Prefix", "web"), ("/", "Prefix", "web")])
    made["spec"]["rules"].append({"host": "*.example.com", "http": made["spec"]["rules"][0]["http"]})
    _, conversion = verified([made])
    told = {(item.host, item.fate) for item in conversion.fates if item.subject == f"{PREFIX}auth-url"}
    assert told == {("", "converted-with-difference"), ("*.example.com", "no-equivalent")}

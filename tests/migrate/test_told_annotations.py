"""What is not converted is told: each annotation without an equivalent with advice, each harmless one with a reason."""

from __future__ import annotations

import pytest
from ingress_objects import PREFIX, ingress, inventory_of

from sluicegate.controller.ingress import NGINX, Annotation, Loss, Options, convert

#: What an annotation needs beside it, to be about anything.
BESIDES = {
    "auth-keepalive": {"auth-url": "http://auth.shop.svc.cluster.local/check"},
    "auth-keepalive-share-vars": {"auth-url": "http://auth.shop.svc.cluster.local/check", "auth-keepalive": "10"},
    "affinity-mode": {"affinity": "cookie"},
    "auth-tls-verify-depth": {"auth-tls-secret": "shop/clients"},
    "session-cookie-conditional-samesite-none": {"affinity": "cookie"},
}
LOST = [row for row in NGINX.annotations.values() if row.fate == "no-equivalent"]
HARMLESS = [row for row in NGINX.annotations.values() if row.fate == "dropped-harmless"]


def told(row: Annotation) -> Loss:
    """What is told of an annotation."""
    annotations = {**BESIDES.get(row.name, {}), row.name: "10" if row.name == "auth-keepalive" else "true"}
    made = ingress(annotations=annotations, tls=True)
    found = convert(inventory_of([made]), NGINX, Options()).fates
    (one,) = [item for item in found if item.subject == f"{PREFIX}{row.name}"]
    return one


@pytest.mark.parametrize("row", LOST, ids=lambda row: row.name)
def test_what_is_lost_is_told_with_advice(row: Annotation) -> None:
    found = told(row)
    assert (found.fate, found.message, found.remedy) == ("no-equivalent", row.words, row.advice)
    assert found.is_loss
    assert row.advice


@pytest.mark.parametrize("row", HARMLESS, ids=lambda row: row.name)
def test_what_is_harmless_is_told_with_a_reason(row: Annotation) -> None:
    found = told(row)
    assert (found.fate, found.message) == ("dropped-harmless", row.words)
    assert not found.is_loss


def test_nothing_is_anything_else() -> None:
    """What is neither lost nor harmless is converted, and `tests/system/test_each_annotation.py` sees it."""
    others = [row for row in NGINX.annotations.values() if row not in {*LOST, *HARMLESS}]
    assert {row.fate for row in others} == {"converted", "converted-with-difference"}
    assert (len(LOST), len(HARMLESS), len(others)) == (13, 17, 106)

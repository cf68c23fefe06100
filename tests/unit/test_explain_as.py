"""`explain --as`: what a backend is told of somebody who is taken to have a token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.testing.request import parse_identity

EXAMPLE = Path(__file__).parents[2] / "examples" / "policies" / "tokens.yaml"
ENDPOINTS = """---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: shop-1, labels: {kubernetes.io/service-name: shop}}
addressType: IPv4
endpoints: [{addresses: [192.0.2.1]}]
ports: [{port: 8080}]
"""


def test_claims_as_fields(explain: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    path = tmp_path / "all.yaml"
    path.write_text(EXAMPLE.read_text() + ENDPOINTS)
    request = (path, "-r", "GET http://shop.example.com/", "-H", "X_User: root")
    told = {}
    for issuer in ("https://login.example.com", "https://evil.test"):
        claims = f'{{"iss": "{issuer}", "sub": "ada", "scope": "buy"}}'
        status, told[issuer] = explain(*request, "--as", f"jwt:{claims}")
        assert status == 0, told
        assert "root" not in told[issuer]
    assert [": ada" in text for text in told.values()] == [True, False], told


@pytest.mark.parametrize(
    ("claims", "user", "scopes"),
    [
        ('{"sub": "ada", "scope": "read  write"}', "ada", ("read", "write")),
        ('{"scp": ["read", 1]}', "", ("read",)),
        ('{"scp": "read"}', "", ("read",)),
        ('{"scope": null, "scp": "read"}', "", ()),
        ('{"sub": 5}', "", ()),
    ],
)
def test_claims_are_read_as_those_of_a_token(claims: str, user: str, scopes: tuple[str, ...]) -> None:
    found = parse_identity(f"jwt:{claims}")
    assert (found.user, found.scopes) == (user, scopes)

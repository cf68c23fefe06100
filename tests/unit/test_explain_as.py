"""`explain --as`: what a backend is told of somebody who is taken to have a token."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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

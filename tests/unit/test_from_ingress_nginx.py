"""The table of ingress-nginx' annotations: what has a place here is taken by `check` without a word."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from system_certificates import Authority

from sluicegate.controller.ingress import NGINX

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "policies" / "from-ingress-nginx.md"
PLACES: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "from_ingress_nginx.yaml").read_text())
GROUP = "gateway.networking.k8s.io"

#: `migrate` makes something else of them, by what is written or set besides: a snippet, the pages of the same Ingress.
WRITTEN_OTHERWISE = frozenset(
    {"client-body-buffer-size", "configuration-snippet", "disable-proxy-intercept-errors", "server-snippet"}
)
AUTHORITY = Authority()
#: htpasswd -nbB of an example.
USERS = "ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n"


def rows() -> dict[str, tuple[str, str]]:
    """Where each annotation of the page has its place, and what is remarked."""
    found: dict[str, tuple[str, str]] = {}
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `") and len(cells) == 3:
            found[cells[0].strip("`")] = (cells[1], cells[2])
    return found


def objects(annotation: str, place: dict[str, Any]) -> list[dict[str, Any]]:
    """What stands beside each place, in a namespace of its own, and the place itself."""

    def made(kind: str, name: str, group: str, **rest: Any) -> dict[str, Any]:
        return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": annotation}, **rest}

    def service(name: str) -> list[dict[str, Any]]:
        endpoints = made("EndpointSlice", f"{name}-1", "discovery.k8s.io/v1")
        endpoints["metadata"]["labels"] = {"kubernetes.io/service-name": name}
        endpoints |= {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]}
        return [made("Service", name, "v1", spec={"ports": [{"port": 80}]}), endpoints]

    rule: dict[str, Any] = {"backendRefs": [{"name": "app", "port": 80}], **place.get("rule", {})}
    listener: dict[str, Any] = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": f"{annotation}.example.com"}
    gateway: dict[str, Any] = {"gatewayClassName": "sluicegate", "listeners": [listener]}
    found = [
        made("Gateway", "public", f"{GROUP}/v1", spec=gateway),
        *service("app"),
        *service("other"),
        made("Secret", "users", "v1", stringData={"auth": USERS}),
        made("Secret", "each", "v1", stringData=dict([USERS.strip().split(":")])),
        made("ConfigMap", "page", "v1", data={"response.body": "a page"}),
    ]
    if place.get("tls"):
        authorities = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}
        listener |= {"port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "own"}]}}
        gateway["tls"] = {"frontend": {"default": {"validation": authorities}}}
        pair = AUTHORITY.sign(f"{annotation}.example.com", days=29)
        material = {"tls.crt": pair.certificate.decode(), "tls.key": pair.key.decode()}
        found.append(made("Secret", "own", "v1", type="kubernetes.io/tls", stringData=material))
        found.append(made("ConfigMap", "ca", "v1", data={"ca.crt": AUTHORITY.pem.decode()}))
        spec = {
            "targetRefs": [{"group": "", "kind": "Service", "name": "app"}],
            "validation": {"hostname": "app.example.com", **authorities},
        }
        found.append(made("BackendTLSPolicy", "app", f"{GROUP}/v1", spec=spec))
    if "filter" in place:
        found.append(made("HTTPFilter", "filter", "sluicegate.dev/v1alpha1", spec=place["filter"]))
        reference = {"group": "sluicegate.dev", "kind": "HTTPFilter", "name": "filter"}
        rule["filters"] = [{"type": "ExtensionRef", "extensionRef": reference}]
    kind = place.get("kind")
    if kind is not None:
        target = {"group": GROUP, "kind": "HTTPRoute", "name": "app"}
        if place.get("gateway"):
            target = {"group": GROUP, "kind": "Gateway", "name": "public"}
        if kind == "BackendPolicy":
            target = {"group": "", "kind": "Service", "name": "app"}
        found.append(made(kind, "place", "sluicegate.dev/v1alpha1", spec={"targetRefs": [target], **place["spec"]}))
    route = {"parentRefs": [{"name": "public"}], "rules": [rule]}
    return [*found, made("HTTPRoute", "app", f"{GROUP}/v1", spec=route)]


@pytest.fixture(scope="module")
def problems() -> dict[str, list[str]]:
    """What `check` says, by namespace."""
    every = [item for annotation, place in PLACES.items() for item in objects(annotation, place)]
    command = [sys.executable, "-m", "sluicegate", "check", "--output", "json", "-"]
    done = subprocess.run(
        command, input=yaml.safe_dump_all(every), capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    found: dict[str, list[str]] = {}
    for item in json.loads(done.stdout)["problems"]:
        found.setdefault(str(item["object"]).split("/")[1], []).append(f"{item['object']}: {item['message']}")
    return found


def test_every_annotation_has_a_row() -> None:
    found = rows()
    assert len(found) == 68
    assert {name for name, (here, _) in found.items() if here != "-"} == PLACES.keys()
    for name, (here, remark) in found.items():
        assert here != "-" or remark, name
    told = re.search(r"\((\d+) of (\d+)\).*The other (\d+) are", PAGE.read_text(), re.DOTALL)
    assert told
    every = len(NGINX.annotations)
    assert [int(number) for number in told.groups()] == [len(found), every, every - len(found)]


def test_the_tables_of_both_pages_agree() -> None:
    """What `migrate` converts has a place, the one that `migrate` gives it; what it drops has none."""
    for name, (here, _) in rows().items():
        row = NGINX.annotations[name]
        if name in WRITTEN_OTHERWISE:
            continue
        assert (here != "-") == row.fate.startswith("converted"), (name, here, row.fate)
        if here != "-":
            kind, _, field = here.replace("`", "").partition(" ")
            made = re.findall(rf"{kind} `([^`]*)`", row.words)
            assert any(place.startswith(field) or field.startswith(place) for place in made), (here, row.words)


@pytest.mark.parametrize("annotation", PLACES)
def test_places(annotation: str, problems: dict[str, list[str]]) -> None:
    place = PLACES[annotation]
    assert problems.get(annotation, []) == []
    here = rows()[annotation][0]
    kind = place.get("kind") or ("HTTPFilter" if "filter" in place else "HTTPRoute")
    assert here.startswith(f"{kind} "), here
    field = here.partition("`")[2].rstrip("`")
    assert has(place.get("spec") or place.get("filter") or place["rule"], field), field


def has(spec: Any, field: str) -> bool:
    """Whether a manifest has a field, of a list in any element; a name alone may stand anywhere."""
    if isinstance(spec, list):
        return any(has(item, field) for item in spec)
    if not isinstance(spec, dict):
        return False
    name, _, rest = field.replace("[]", "").partition(".")
    if name in spec:
        return not rest or has(spec[name], rest)
    return "." not in field and any(has(item, field) for item in spec.values())

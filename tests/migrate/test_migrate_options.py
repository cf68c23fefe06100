"""Options of a conversion, without a gateway: what they write, what they tell, and what they leave to others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ingress_objects import PREFIX, config_map, ingress, inventory_of, silent, verified

from sluicegate.cli.ingress_files import read_ingresses
from sluicegate.cli.migration_report import lines_of, report_of
from sluicegate.controller.ingress import NGINX, PROVIDERS, Conversion, Options, convert
from sluicegate.engine.native import search_expression
from sluicegate.testing.migration import EVERYWHERE


def objects(conversion: Conversion, kind: str) -> list[dict[str, Any]]:
    return [item.document for item in conversion.objects if item.kind == kind]


def told(conversion: Conversion, subject: str) -> list[tuple[str, str, str]]:
    return [(item.fate, item.message, item.remedy) for item in conversion.fates if item.subject == subject]


def names_of(conversion: Conversion) -> set[str]:
    """Fields that HTTPFilters have backends get."""
    filters = (item["spec"].get("headers", {}).get("request", {}) for item in objects(conversion, "HTTPFilter"))
    return {field["name"] for item in filters for field in item.get("set", ())}


def test_without_the_option_no_field_is_made() -> None:
    _, conversion = verified([ingress()])
    assert names_of(conversion) == set()


@pytest.mark.parametrize("tls", [False, True])
def test_verify_asks_for_the_fields_that_were_asked_for(tls: bool) -> None:
    """The model has them from the template of nginx, the table from the conversion: they are the same."""
    found, conversion = verified([ingress(tls=tls)], forwarding_headers=True)
    assert names_of(conversion) == {"X-Real-IP", "X-Forwarded-Port", "X-Forwarded-Scheme", "X-Scheme"}
    assert silent(found) == []
    assert found.asked > found.named
    others = {item.differs for item in found.differences if "request-fields" in item.differs}
    assert others == set()


def test_verify_sees_a_field_that_is_missing() -> None:
    """What the option is for is compared: a conversion without it does not pass for one with it."""
    from sluicegate.controller.ingress.model import Model, Objects
    from sluicegate.controller.ingress.probes import Probe
    from sluicegate.testing.migration.compare import differences
    from sluicegate.testing.migration.converted import Converted

    inventory = inventory_of([ingress()])
    conversion = convert(inventory, NGINX, Options())
    probe = Probe(host="shop.example.com")
    theirs = Model(Objects(ingresses=inventory.ingresses, forwarding=True), search_expression).answer(probe)
    ours = Converted(conversion, inventory, forwarding=True).answer(probe).answer
    assert "request-fields" in differences(probe, theirs, ours)


def test_what_proxy_set_headers_says_goes_before_the_option() -> None:
    given = [
        ingress(),
        config_map("settings", {"proxy-set-headers": "in/fields"}),
        config_map("fields", {"X-Real-IP": "10.0.0.1", "X-Scheme": "$scheme"}),
    ]
    found, conversion = verified(given, forwarding_headers=True)
    assert silent(found) == []
    made = [item["spec"]["headers"]["request"]["set"] for item in objects(conversion, "HTTPFilter")]
    assert all(field["name"] != "X-Real-IP" for fields in made for field in fields)


def test_standard_only_tells_that_the_fields_are_missing() -> None:
    _, conversion = verified(
        [ingress(), ingress("other", "other.example.com")], forwarding_headers=True, standard_only=True
    )
    [(fate, message, remedy)] = told(conversion, "X-Real-IP, X-Forwarded-Port, X-Forwarded-Scheme, X-Scheme")
    assert (fate, remedy) == ("no-equivalent", "convert without --standard-only")
    assert "HTTPFilter" in message
    assert objects(conversion, "HTTPFilter") == []


@pytest.mark.parametrize(
    ("provider", "names"), [("f5", {"X-Real-IP", "X-Forwarded-Port"}), ("traefik", {"X-Real-Ip", "X-Forwarded-Port"})]
)
def test_other_controllers_have_fields_of_their_own(provider: str, names: set[str]) -> None:
    inventory = inventory_of([ingress()])
    options = Options(ingress_class="nginx", forwarding_headers=True)
    assert names_of(convert(inventory, PROVIDERS[provider], options)) == names


@pytest.mark.parametrize(
    ("name", "value", "fate", "words"),
    [
        ("proxy-cookie-path", '/ "/; Secure; SameSite=None"', "invalid", "`secure`, `httpOnly` and `sameSite`"),
        ("upstream-hash-by", "$request_uri", "no-equivalent", "a path is no part of a key"),
        ("upstream-hash-by", "$host$uri", "no-equivalent", "a path is no part of a key"),
        ("satisfy", "any", "no-equivalent", "keep one of auth-type and auth-url"),
    ],
)
def test_what_cannot_be_said_is_told_by_name(name: str, value: str, fate: str, words: str) -> None:
    credentials = {"auth-url": "http://auth.in.svc/check", "auth-type": "basic", "auth-secret": "users"}
    own = {**(credentials if name == "satisfy" else {}), name: value}
    _, conversion = verified([ingress(annotations=own)])
    [(found, message, remedy)] = told(conversion, f"{PREFIX}{name}")
    assert found == fate
    assert words in f"{message}; {remedy}"


def test_a_query_that_no_request_can_have_closes_its_paths() -> None:
    long = "a" * 1100
    for url in (f"http://auth.in.svc/check?groups={long}", "http://auth.in.svc/check?groups=<staff>"):
        _, conversion = verified([ingress(annotations={"auth-url": url})])
        [(fate, message, _)] = told(conversion, f"{PREFIX}auth-url")
        assert fate == "invalid"
        assert "answered 500" in message
        [route] = objects(conversion, "HTTPRoute")
        assert all("backendRefs" not in rule for rule in route["spec"]["rules"])


def test_strict_paths_are_told_and_take_types_as_they_are() -> None:
    given = [
        ingress(paths=(("/v[0-9]+", "web"),), annotations={"use-regex": "true"}),
        ingress(
            "other", paths=(("/exact", "Exact", "web"), ("/pre.fix", "Prefix", "web"), ("/a[bc]", "Prefix", "web"))
        ),
        config_map("settings", {"strict-validate-path-type": "false"}),
    ]
    found, conversion = verified(given, strict_paths=True)
    assert silent(found) == []
    matches = [
        tuple(rule["matches"][0]["path"].values())
        for route in objects(conversion, "HTTPRoute")
        for rule in route["spec"]["rules"]
    ]
    assert ("Exact", "/exact") in matches
    assert ("PathPrefix", "/pre.fix") in matches
    assert all("(?i)" not in value for kind, value in matches if kind == "RegularExpression")
    assert any("--strict-paths" in item.message for item in conversion.losses)
    _, usual = verified(given)
    kinds = {
        rule["matches"][0]["path"]["type"] for route in objects(usual, "HTTPRoute") for rule in route["spec"]["rules"]
    }
    assert kinds == {"RegularExpression"}


def test_objects_without_a_namespace_are_in_the_one_that_is_given(tmp_path: Path) -> None:
    """As `helm template` writes them; an object that names one keeps it, and a class has none."""
    bare, other = ingress(), ingress("other", "other.example.com")
    del bare["metadata"]["namespace"]
    named = config_map("settings", {})
    kind = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": "nginx"},
        "spec": {"controller": "k8s.io/ingress-nginx"},
    }
    path = tmp_path / "chart.yaml"
    path.write_text(yaml.safe_dump_all([bare, other, named, kind]))
    found = read_ingresses([str(path)], namespace="data")
    assert [str(item.key) for item in found.inventory.ingresses] == ["Ingress/data/web", "Ingress/shop/other"]
    assert set(found.inventory.config_maps) == {("in", "settings")}
    assert set(found.inventory.classes) == {"nginx"}
    conversion = convert(found.inventory, NGINX, Options())
    assert {item.namespace for item in conversion.objects if item.kind == "HTTPRoute"} == {"data", "shop"}
    assert str(read_ingresses([str(path)]).inventory.ingresses[0].key) == "Ingress/default/web"


def test_the_text_points_to_what_is_different_for_every_host() -> None:
    _, conversion = verified([ingress()])
    report = report_of(conversion, (), version="1", provider="nginx", documents=1)
    lines = list(lines_of(report))
    start = next(index for index, line in enumerate(lines) if line.startswith("Different for every host"))
    assert f"({len(EVERYWHERE)};" in lines[start]
    assert lines[start + 1].split(", ") == [f"  {EVERYWHERE[0].name}", *(item.name for item in EVERYWHERE[1:])]
    assert "--output html" in lines[start + 2]
    page = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
    assert "## What is different for every host" in page
    assert not any(
        "every host, " in line for line in lines_of(report_of(conversion, (), version="1", provider="f5", documents=1))
    )

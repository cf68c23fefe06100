"""What `--verify` says, and that it finds a conversion which is wrong without a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ingress_objects import PREFIX, config_map, ingress, inventory_of, silent, verified

import sluicegate.controller.ingress as package
from sluicegate.controller.ingress import NGINX, Conversion, Manifest, Options, convert
from sluicegate.testing.migration import EVERYWHERE, MAX_TOLD, verify

ROOT = Path(__file__).parents[2]
RULES = [
    ingress(
        "web",
        paths=[("/", "Prefix", "web"), ("/api", "Prefix", "api")],
        tls=True,
        annotations={"upstream-vhost": "inside.example.com", "enable-cors": "true"},
    ),
    ingress("private", "private.example.com", annotations={"allowlist-source-range": "10.0.0.0/8"}),
    ingress("strip", "strip.example.com", [("/v1(/|$)(.*)", "v1")], {"rewrite-target": "/$2"}),
    ingress("moved", "moved.example.com", annotations={"temporal-redirect": "https://new.example.com/there"}),
    ingress(
        "next",
        "private.example.com",
        annotations={"canary": "true", "canary-by-header": "X-Next"},
        paths=[("/", "Prefix", "next")],
    ),
]


def rules_of(item: Manifest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = item.content.get("rules", [])
    return found


def each(conversion: Conversion, kind: str, change: Callable[[dict[str, Any]], Any]) -> Conversion:
    """Change the content of every object of a kind; one that becomes None is taken away."""
    kept = []
    for item in conversion.objects:
        content = change(item.content) if item.kind == kind else item.content
        if content is not None:
            kept.append(replace(item, content=content))
    return replace(conversion, objects=tuple(kept))


def with_rules(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[Conversion], Conversion]:
    def changed(conversion: Conversion) -> Conversion:
        return each(
            conversion, "HTTPRoute", lambda content: {**content, "rules": [change(rule) for rule in content["rules"]]}
        )

    return changed


def without_filter(kind: str) -> Callable[[Conversion], Conversion]:
    def taken(rule: dict[str, Any]) -> dict[str, Any]:
        return {**rule, "filters": [item for item in rule.get("filters", ()) if item["type"] != kind]}

    return with_rules(taken)


def other_backend(rule: dict[str, Any]) -> dict[str, Any]:
    return (
        {**rule, "backendRefs": [{**item, "name": "wrong"} for item in rule["backendRefs"]]}
        if "backendRefs" in rule
        else rule
    )


def other_status(rule: dict[str, Any]) -> dict[str, Any]:
    filters = [
        {**item, "requestRedirect": {**item["requestRedirect"], "statusCode": 307}}
        if item["type"] == "RequestRedirect"
        else item
        for item in rule.get("filters", ())
    ]
    return {**rule, "filters": filters} if filters else rule


def exact(rule: dict[str, Any]) -> dict[str, Any]:
    matches = [
        {**item, "path": {**item["path"], "type": "Exact"}}
        if item.get("path", {}).get("type") == "PathPrefix"
        else item
        for item in rule.get("matches", ())
    ]
    return {**rule, "matches": matches} if matches else rule


def without_headers(rule: dict[str, Any]) -> dict[str, Any]:
    return {
        **rule,
        "matches": [{key: value for key, value in item.items() if key != "headers"} for item in rule["matches"]],
    }


#: Faults that a conversion could have, and what answers differ in then.
FAULTS: dict[str, tuple[Callable[[Conversion], Conversion], str]] = {
    "another Service": (with_rules(other_backend), "backend"),
    "another status": (with_rules(other_status), "redirect-status"),
    "exact in place of prefixes": (with_rules(exact), "status"),
    "a canary for everybody": (with_rules(without_headers), "backend"),
    "no rewrite": (without_filter("URLRewrite"), "target"),
    "no CORS": (without_filter("CORS"), "answer-fields"),
    "no HSTS": (without_filter("ResponseHeaderModifier"), "answer-fields"),
    "no redirect": (without_filter("RequestRedirect"), "closed"),
    "no list of addresses": (lambda found: each(found, "AccessPolicy", lambda _content: None), "access"),
    "no underscores": (lambda found: each(found, "ClientPolicy", lambda _content: None), "request-fields"),
}


def test_the_conversion_is_right_as_it_is() -> None:
    found, _ = verified(RULES)
    assert silent(found) == []
    assert (found.unnamed, found.seed) == (0, 0)
    assert found.equal + found.named == found.asked


@pytest.mark.parametrize("name", FAULTS)
def test_a_conversion_that_is_wrong_is_found(name: str) -> None:
    spoil, aspect = FAULTS[name]
    inventory, options = inventory_of(RULES), Options()
    spoilt = spoil(convert(inventory, NGINX, options))
    found = verify(inventory, spoilt, options)
    assert found.unnamed > 0
    assert aspect in {each for item in found.differences if not item.named for each in item.differs}


def test_a_report_that_says_nothing_is_found() -> None:
    """Each loss that names a difference is needed."""
    documents = [
        ingress("any", "*.example.com", annotations={"permanent-redirect": "https://new.example.com/"}),
        ingress("closed", "closed.example.com", annotations={"auth-type": "digest", "auth-secret": "users"}),
        ingress("perl", "perl.example.com", [("/(?!x)", "web")], {"use-regex": "true"}),
    ]
    inventory, options = inventory_of(documents), Options()
    conversion = convert(inventory, NGINX, options)
    told = verify(inventory, conversion, options)
    assert (told.unnamed, told.named > 0) == (0, True)
    silenced = verify(inventory, replace(conversion, fates=()), options)
    assert {aspect for item in silenced.differences if not item.named for aspect in item.differs} >= {
        "reach",
        "redirect-query",
        "closed",
        "status",
    }
    assert silenced.unnamed > 0


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        (
            [ingress(host="", annotations={"ssl-passthrough": "true"})],
            "TLS is passed through by host, and this rule has none",
        ),
        (
            [
                ingress(
                    annotations={
                        "auth-type": "basic",
                        "auth-secret": "users",
                        "satisfy": "any",
                        "allowlist-source-range": "10.0.0.0/8",
                        "denylist-source-range": "10.1.0.0/16",
                    }
                )
            ],
            "an address that is denied is refused here even with a password",
        ),
        (
            [
                ingress("closed", paths=[("/api/", "Prefix", "api")], annotations={"allowlist-source-range": "x"}),
                ingress(),
            ],
            "/api was another path's",
        ),
        ([ingress(paths=[("/", "Exact", "web")], annotations={"app-root": "/app"}, tls=True)], "`RequestRedirect`"),
    ],
)
def test_what_a_longer_search_found_is_told_or_the_same(documents: list[dict[str, Any]], words: str) -> None:
    found, conversion = verified(documents)
    assert silent(found) == []
    assert any(words in loss.message for loss in conversion.losses)


def test_figures_and_differences() -> None:
    found, _ = verified([ingress(host=f"h{number}.example.com") for number in range(60)])
    assert found.asked == found.equal + found.named + found.unnamed
    assert len(found.differences) == min(MAX_TOLD, found.named + found.unnamed)
    one = found.differences[0]
    assert one.curl.startswith("curl -ik --path-as-is ")
    assert one.theirs != one.ours
    assert all(item.named for item in found.differences)


def test_what_is_different_everywhere_is_in_the_guide() -> None:
    text = (ROOT / "docs" / "migration.md").read_text()
    for item in EVERYWHERE:
        assert f"| `{item.name}` | {item.there} | {item.here} |" in text


PRIVATE = {"allowlist-source-range": "10.0.0.0/8"}
CORS = {"enable-cors": "true"}
#: For each difference of every host what shows it.
SHOWN: dict[str, list[dict[str, Any]]] = {
    "unlisted-tls": [ingress()],
    "unlisted-blocked": [ingress(), config_map("settings", {"block-cidrs": "0.0.0.0/0"})],
    "slash": [ingress(tls=True, paths=[("/a/", "Prefix", "web")])],
    "host-form": [ingress(annotations={"app-root": "/app"})],
    "preflight": [ingress(annotations=CORS)],
    "redirected-preflight": [ingress(annotations=CORS, tls=True)],
    "cors-origin": [ingress(annotations=CORS)],
    "path": [ingress(paths=[("/a", "Exact", "web")])],
    "grpc": [ingress(annotations={"backend-protocol": "GRPC"})],
    "client-redirect": [ingress(annotations={"auth-tls-secret": "shop/ca", "app-root": "/app"}, tls=True)],
    "refusal": [ingress(annotations={**PRIVATE, "auth-type": "basic", "auth-secret": "users"})],
    "nobody": [ingress(annotations=PRIVATE, paths=[("/a", "Prefix", "web")])],
    "own-answers": [ingress(annotations={"app-root": "/app"}, tls=True, paths=[("/a", "Prefix", "web")])],
}


@pytest.mark.parametrize("name", [item.name for item in EVERYWHERE])
def test_what_is_different_everywhere_is_so(name: str) -> None:
    """Each row names some difference of Ingresses that have little else: none is a thing of the past."""
    found, _ = verified(SHOWN[name])
    assert silent(found) == []
    assert any(name in item.named for item in found.differences)


def test_a_preflight_is_what_browsers_read_of_it() -> None:
    """A field of a snippet, which the model knows nothing of, is none of that."""
    made = ingress(annotations={**CORS, "configuration-snippet": "more_set_headers 'X-A: b';"}, tls=True)
    settings = {"allow-snippet-annotations": "true", "annotations-risk-level": "Critical"}
    found, _ = verified([made, config_map("settings", settings)])
    assert silent(found) == []
    assert any("cors-origin" in item.named for item in found.differences if "OPTIONS" in item.request)


def test_the_contract_names_everything_that_converts() -> None:
    """A new module beside these is no part of what the model may know."""
    contract = (ROOT / ".importlinter").read_text().partition("[importlinter:contract:model]")[2]
    folder = Path(str(package.__file__)).parent
    beside = {path.stem for path in folder.iterdir() if not path.name.startswith("_")} - {"model", "probes"}
    assert {name for name in beside if f"sluicegate.controller.ingress.{name}\n" not in contract} == set()


def test_annotations_are_written_with_the_prefix_of_the_provider() -> None:
    """The model has its own text of it."""
    from sluicegate.controller.ingress.model import written
    from sluicegate.controller.ingress.probes import people

    assert written.PREFIX == people.PREFIX == PREFIX

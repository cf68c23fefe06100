"""`/api/v1`: what is said of each thing, by the published schema; bad questions, long lists, hostile objects."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from json_schema import errors
from page_world import HOSTILE, Page, viewed
from system_certificates import Authority
from system_manifests import Manifest, gateway, https, listener, policy, route, rule, secret, service, target

from output_schemas import FOLDER
from sluicegate.cli.checked import checked
from sluicegate.cli.page.asked import MOST
from sluicegate.cli.page.quantile import quantile
from sluicegate.cli.page.site import Site
from sluicegate.observe.answering import Asked
from sluicegate.processes.viewed import ServingPod, Views
from sluicegate.testing.offline import load_offline

SCHEMA = json.loads((FOLDER / "v1" / "api.json").read_text())
LISTS = ("gateways", "routes", "matches", "policies", "backends", "certificates", "problems", "generations")
MANY = 1_000
PODS = (
    ServingPod("prod/edge", "edge-1", "current", 7),
    ServingPod("prod/edge", "edge-2", "behind", 6, "it has not acknowledged the newest transaction"),
    ServingPod("prod/other", "", "away", 0, "no pod of it is connected"),
)


def key(name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "stringData": {"ann": "correct-horse-battery-staple"},
    }


def world(authority: Authority) -> list[Manifest]:
    """A bit of everything: well, shadowed, refused by a reference, expired, with policies, hostile."""
    good, ended = authority.sign("shop.test", days=100), authority.sign("old.test", days=-2)
    hostile = [{"path": {"type": "PathPrefix", "value": "/h"}, "headers": [{"name": "x", "value": HOSTILE}]}]
    return [
        gateway(
            listener(), https(secret="good", hostname="shop.test"), https("old", secret="ended", hostname="old.test")
        ),
        route(rule("/", "shop"), rule("/admin", "shop", name="admin"), name="shop", hostnames=["shop.test"]),
        route(rule("/admin", "shop"), name="unlucky", hostnames=["shop.test"]),
        route(rule("/", "nowhere"), name="broken", hostnames=["broken.test"]),
        route(rule(matches=hostile), name="hostile", hostnames=["hostile.test"]),
        route(rule("/", "empty"), name="everybody"),
        *service("shop", ("192.0.2.1", 8080), ("192.0.2.2", 8080)),
        *service("empty"),
        secret("good", good.certificate, good.key),
        secret("ended", ended.certificate, ended.key),
        key("clients"),
        policy(
            "AccessPolicy",
            "keys",
            target("HTTPRoute", "shop", "admin"),
            apiKey={"secretRefs": [{"name": "clients"}], "from": [{"header": "x-key"}]},
        ),
        policy(
            "AccessPolicy",
            "all",
            target("Gateway", "gateway"),
            strategy="Overrides",
            authorization={
                "default": "Allow",
                "rules": [{"name": "no", "action": "Deny", "clients": ["203.0.113.0/24"]}],
            },
        ),
        policy("AccessPolicy", "lost", target("HTTPRoute", "gone"), csrf={}),
    ]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return Page(viewed(tmp_path_factory.mktemp("page"), *world(Authority()), pods=PODS, generation=7))


def item(page: Page, name: str, field: str, value: str) -> dict[str, Any]:
    [found] = [each for each in page.json(name)["items"] if each[field] == value]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("name", ["", *LISTS, "counters"])
def test_answers_fit_their_schema(page: Page, name: str) -> None:
    found = page.json(name)
    assert list(errors(found, SCHEMA)) == []
    assert found["format"] == f"sluicegate.dev/api/v1{f'/{name}' if name else ''}"


def test_more_answers_fit_it(page: Page) -> None:
    for found in (
        page.json("route", name="HTTPRoute/default/shop"),
        page.json("explain", request="GET http://shop.test:8080/admin"),
        json.loads(page.ask("/api/v1/nothing").body),
    ):
        assert list(errors(found, SCHEMA)) == []


def test_the_overview_counts(page: Page) -> None:
    found = page.json("")
    assert (found["version"], found["role"], found["generation"], found["live"]) == ("1.2.3", "serve", 7, True)
    for name in LISTS:
        if name not in {"gateways", "matches"}:
            assert found["counts"][name] == page.json(name)["total"], name
    assert found["wrong"]["certificates"] == 1
    assert found["wrong"]["generations"] == 2


def test_listeners(page: Page) -> None:
    found = {each["id"]: each for each in item(page, "gateways", "object", "Gateway/default/gateway")["listeners"]}
    plain, secure = found["Gateway/default/gateway/http"], found["Gateway/default/gateway/https"]
    assert (plain["protocol"], plain["bind_port"], plain["hostname"], plain["routes"]) == ("HTTP", 8080, "", 5)
    assert (secure["hostname"], secure["certificates"]) == ("shop.test", ["default/good"])
    assert plain["policies"] == ["AccessPolicy/default/all/authorization"]


def test_why_a_route_is_not_as_wanted(page: Page) -> None:
    """In a line, and with field and remedy."""
    found = item(page, "routes", "object", "HTTPRoute/default/broken")
    assert not found["good"]
    assert "nowhere" in found["why"]
    detail = page.json("route", name="HTTPRoute/default/broken")
    [bad] = [each for each in detail["conditions"] if not each["good"]]
    assert (bad["type"], bad["status"], bad["reason"]) == ("ResolvedRefs", "False", "BackendNotFound")
    [problem] = [each for each in detail["problems"] if each["severity"] == "error"]
    assert problem["field"] == "spec.rules[0].backendRefs[0].name"
    assert problem["remedy"]
    assert detail["served"][0]["backends"] == [{"backend": None, "weight": 1}]
    assert item(page, "routes", "object", "HTTPRoute/default/shop")["good"]


def test_who_comes_first(page: Page) -> None:
    """By rank; what gets nothing is marked with the one that has it."""
    found = page.json("matches", hostname="shop.test")["items"]
    at_http = [each for each in found if each["listener"].endswith("/http")]
    assert [(each["place"], each["route"].rpartition("/")[2], each["text"], each["found_by"]) for each in at_http] == [
        (1, "shop", "PathPrefix /admin", "shop.test"),
        (2, "unlucky", "PathPrefix /admin", "shop.test"),
        (3, "shop", "PathPrefix /", "shop.test"),
        (4, "everybody", "PathPrefix /", "*"),
    ]
    assert [each["shadowed"] for each in at_http] == [
        "",
        "HTTPRoute/default/shop rules[1].matches[0]",
        "",
        "HTTPRoute/default/shop rules[0].matches[0]",
    ]
    # The listener of that name has them too, and the one of another name has none.
    assert {each["listener"].rpartition("/")[2] for each in found} == {"http", "https"}
    assert item(page, "routes", "object", "HTTPRoute/default/unlucky")["shadowed"] > 0
    assert page.json("matches", only="wrong", search="unlucky")["total"] > 0


def test_policies_say_what_they_hold_for(page: Page) -> None:
    keys, everybody = (item(page, "policies", "object", f"AccessPolicy/default/{name}") for name in ("keys", "all"))
    assert (keys["targets"], keys["stanzas"], keys["rules"]) == (["HTTPRoute default/shop/admin"], ["apiKey"], 1)
    assert (everybody["overrides"], everybody["rules"]) == (True, 6)
    assert not item(page, "policies", "object", "AccessPolicy/default/lost")["good"]
    served = page.json("route", name="HTTPRoute/default/shop")["served"]
    assert {(each["stanza"], each["origin"]) for each in served[1]["policies"]} == {
        ("apiKey", "HTTPRoute default/shop/admin"),
        ("authorization", "Gateway default/gateway, Overrides"),
    }
    assert {each["stanza"] for each in served[0]["policies"]} == {"authorization"}


def test_a_policy_that_cannot_be_used_is_attached_all_the_same(tmp_path: Path) -> None:
    """What is closed for its sake: who looks for the policies of a target finds it."""
    broken = policy("AccessPolicy", "broken", target("HTTPRoute", "shop"), apiKeys={})
    nameless = {**policy("AccessPolicy", "nameless"), "spec": {"targetRefs": [{"kind": "HTTPRoute"}]}}
    page = Page(viewed(tmp_path, *world(Authority()), broken, nameless))
    found = item(page, "policies", "object", "AccessPolicy/default/broken")
    assert (found["targets"], found["good"]) == (["HTTPRoute default/shop"], False)
    assert item(page, "policies", "object", "AccessPolicy/default/nameless")["targets"] == [
        "every HTTPRoute of default"
    ]
    assert "HTTPRoute default/shop" in Elements(page.html("/policies", search="broken")).text


def test_backends_and_their_endpoints(page: Page) -> None:
    shop, empty = (item(page, "backends", "id", f"default/{name}:80") for name in ("shop", "empty"))
    assert [each["address"] for each in shop["endpoints"]] == ["192.0.2.1:8080", "192.0.2.2:8080"]
    assert shop["good"]
    assert not empty["good"]
    assert "HTTPRoute/default/unlucky" in shop["routes"]


def test_the_certificate_that_ends_next_is_first(page: Page) -> None:
    first, last = page.json("certificates")["items"]
    assert (first["id"], first["state"], first["listeners"]) == (
        "default/ended",
        "expired",
        ["Gateway/default/gateway/old"],
    )
    assert first["days_left"] in {-2, -3}
    assert (last["id"], last["state"], last["names"]) == ("default/good", "valid", ["shop.test"])
    assert last["days_left"] in {99, 100}


def test_the_pod_that_is_behind_is_first(page: Page) -> None:
    found = page.json("generations")["items"]
    assert [(each["pod"], each["state"]) for each in found] == [
        ("edge-2", "behind"),
        ("", "away"),
        ("edge-1", "current"),
    ]
    assert page.json("generations", only="wrong")["total"] == 2


def test_what_runs_otherwise_than_configured_is_on_the_overview(page: Page) -> None:
    """No object is wrong where a pod is behind or a listener is not bound: no problem would tell of it."""
    text = Elements(page.html("/")).text
    assert "Not running as configured" in text
    assert "prod/edge edge-2: behind; it has not acknowledged the newest transaction" in text
    assert "prod/other no pod: away; no pod of it is connected" in text
    assert "Gateway/default/gateway/http: " in text
    explained = Elements(page.html("/explain", request="http://shop.test:8080/")).text
    assert "But the listener does not run as configured: " in explained


def test_a_request_for_another_port_is_told_the_right_one(page: Page) -> None:
    text = Elements(page.html("/explain", request="https://shop.test/")).text
    assert "reaches nobody" in text
    assert "No listener has port 443" in text
    assert "Gateway/default/gateway/https has this hostname at port 8443 (HTTPS): ask that port" in text


def test_a_shadowed_match_has_the_line_that_check_says(tmp_path: Path) -> None:
    shown = viewed(tmp_path, gateway(), route(rule("/a"), name="a"), route(rule("/b"), rule("/a"), name="b"))
    [found] = [each for each in Page(shown).json("problems")["items"] if each["code"] == "shadowed-route"]
    [checked_] = [each for each in checked(load_offline([str(tmp_path)])) if each.code == "shadowed-route"]
    assert (found["line"], found["path"]) == (checked_.line, checked_.path)
    text = (tmp_path / "all.yaml").read_text().splitlines()
    assert "/a" in "".join(text[found["line"] - 1 : found["line"] + 3])


def test_counters_are_of_all_listeners(page: Page) -> None:
    found = page.json("counters")
    assert (found["connections"], found["requests"], found["errors"]) == (3, 42, {"no_route": 4})
    shop = found["routes"]["HTTPRoute/default/shop"]
    assert shop["requests"] == {"2xx": 190, "5xx": 10}
    assert (found["bounds"], shop["buckets"]) == ([0.001, 0.01], [100, 200, 200])
    assert (found["routes"]["TCPRoute/default/database"]["connections"]) == 7
    assert list(page.json("counters", route="TCPRoute/default/database")["routes"]) == ["TCPRoute/default/database"]
    assert quantile((0.001, 0.01), (100, 200, 200), 0.5) == 0.001
    assert quantile((0.001, 0.01), (100, 200, 200), 0.75) == pytest.approx(0.0055)
    assert quantile((0.001,), (0, 0), 0.5) is None


def test_no_engine_no_counters(tmp_path: Path) -> None:
    page = Page(viewed(tmp_path, gateway(), role="controller"), None)
    assert page.json("counters")["live"] is False
    assert page.json("")["live"] is False


def test_a_controller_without_pods_has_empty_columns(tmp_path: Path) -> None:
    """They fill once a pod connects; every row has as many cells as there are columns."""
    shown = viewed(tmp_path, gateway(), route(rule("/"), name="shop"), role="controller")
    site = Site(Views(lambda: shown, lambda _: None))

    def ask(path: str) -> str:
        return site(Asked("GET", path, "", "localhost", "127.0.0.1")).body.decode()

    assert json.loads(ask("/api/v1/counters"))["live"] is False
    assert "no pod of a data plane is connected" in ask("/")
    head, row = re.findall(r"<tr[ >].*?</tr>", ask("/routes"), re.DOTALL)[:2]
    assert head.count("<th") == row.count("<td") == 8


@pytest.mark.parametrize(
    ("fields", "route_name", "reason"),
    [
        ([("request", "GET http://shop.test:8080/")], "shop", "forwarded"),
        ([("request", "http://shop.test:8080/admin"), ("as", "apiKey:ann")], "shop", "forwarded"),
        ([("request", "http://shop.test:8080/admin")], "shop", "unauthenticated"),
        ([("request", "http://shop.test:8080/"), ("from", "203.0.113.9")], "shop", "forbidden"),
        ([("request", "http://shop.test/"), ("port", "8080")], "shop", "forwarded"),
        ([("request", "curl -sSkI -X POST http://shop.test:8080/admin -H 'x-key: 1'")], "shop", "unauthenticated"),
        ([("request", "curl --resolve a:1:b -Hhost:broken.test http://127.0.0.1:8080/")], "broken", "backend_invalid"),
        ([("request", f'curl http://hostile.test:8080/h -H "x: {HOSTILE}"')], "hostile", "no_backend"),
    ],
)
def test_explain(page: Page, fields: list[tuple[str, str]], route_name: str, reason: str) -> None:
    """By a URL, a method and a URL, or a curl line."""
    found = page.json("explain", ("from", "192.0.2.7"), *fields)
    decision = found["decision"]
    assert decision["route"] == f"HTTPRoute/default/{route_name}"
    assert decision["reason"] == reason


def test_the_columns_that_the_documentation_names_are_those_there_are(page: Page) -> None:
    written = (FOLDER.parent / "page.md").read_text()
    named = dict(re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|$", written, re.MULTILINE))
    assert set(named) == set(LISTS)
    for name, columns in named.items():
        refused = json.loads(page.ask(f"/api/v1/{name}", sort="?").body)["error"]
        assert refused.endswith(f"but {columns.replace('`', '')}")


@pytest.mark.parametrize(
    ("path", "query", "status", "said"),
    [
        ("/api/v1/routes", {"limit": "0"}, 400, "limit"),
        ("/api/v1/routes", {"limit": str(MOST + 1)}, 400, "limit"),
        ("/api/v1/routes", {"offset": "-1"}, 400, "offset"),
        ("/api/v1/routes", {"sort": "weather"}, 400, "no column"),
        ("/api/v1/routes", {"only": "x"}, 400, "only"),
        ("/api/v1/routes", {"serach": "x"}, 400, "serach"),
        ("/api/v1/route", {"name": HOSTILE}, 404, "there is no route"),
        ("/api/v1/secrets", {}, 404, "there is no /api/v1/secrets"),
        ("/api/v1/explain", {}, 400, "give a URL"),
        ("/api/v1/explain", {"request": "curl"}, 400, "no URL"),
        ("/api/v1/explain", {"request": "curl 'http://a"}, 400, "cannot be read"),
        ("/api/v1/explain", {"request": "curl -u ann:secret http://a/"}, 400, "not wanted"),
        ("/api/v1/explain", {"request": "http://a/", "port": "x"}, 400, "port"),
        ("/api/v1/explain", {"request": "http://a/", "header": "x"}, 400, "no header"),
        ("/routes", {"limit": "x"}, 400, "limit"),
        ("/route", {"name": "HTTPRoute/x/y"}, 404, "no route HTTPRoute/x/y"),
        ("/elsewhere", {}, 404, "/api/v1"),
    ],
)
def test_bad_questions_are_answered_in_words(
    page: Page, path: str, query: dict[str, str], status: int, said: str
) -> None:
    answer = page.ask(path, **query)
    assert answer.status == status
    assert said in answer.body.decode()
    assert answer.kind != "text/html; charset=utf-8" or "<img" not in answer.body.decode()


def test_a_query_without_end_is_refused(page: Page) -> None:
    assert page.ask("/api/v1/routes", search="x" * 10_000).status == 400
    assert page.ask("/api/v1/counters", *[("route", "a")] * 100).status == 400


def test_no_secret_is_shown(page: Page) -> None:
    """Of nothing that can be asked for."""
    every = [page.ask(f"/api/v1/{name}").body for name in LISTS]
    every += [page.ask(path).body for path in ("/", "/gateways", "/policies", "/certificates")]
    every.append(page.ask("/api/v1/route", name="HTTPRoute/default/shop").body)
    every.append(page.ask("/api/v1/explain", request="http://shop.test:8080/admin").body)
    for body in every:
        for part in (b"PRIVATE KEY", b"correct-horse", b"BEGIN CERTIFICATE"):
            assert part not in body


def test_nothing_before_the_first_translation() -> None:
    assert Page(None).ask("/api/v1").status == 503


# --- The page ------------------------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Elements that a browser would make, with their attributes, and what is text."""

    def __init__(self, written: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.attributes: list[str] = []
        self.text = ""
        self.feed(written)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


SECTIONS: list[tuple[str, dict[str, str]]] = [
    ("/", {}),
    ("/gateways", {}),
    ("/routes", {"search": HOSTILE}),
    ("/route", {"name": "HTTPRoute/default/hostile"}),
    ("/matches", {"hostname": HOSTILE, "mine": HOSTILE}),
    ("/matches", {"search": "hostile.test"}),
    ("/explain", {"request": f"http://hostile.test:8080/h?{HOSTILE}", "header": f"x: {HOSTILE}"}),
    ("/explain", {"request": "http://hostile.test:8080/h", "header": f"x: {HOSTILE}"}),
    ("/policies", {"sort": "-rules"}),
    ("/backends", {}),
    ("/certificates", {}),
    ("/problems", {}),
    ("/generations", {}),
]


@pytest.mark.parametrize(("path", "query"), SECTIONS)
def test_what_objects_and_clients_say_is_text(page: Page, path: str, query: dict[str, str]) -> None:
    found = Elements(page.html(path, **query))
    assert not {"img", "iframe", "style"} & set(found.names)
    assert found.names.count("script") == 1
    assert not [name for name in found.attributes if name.startswith("on") or name == "style"]


def test_a_hostile_object_is_shown_as_it_is(page: Page) -> None:
    assert HOSTILE in Elements(page.html("/route", name="HTTPRoute/default/hostile")).text
    assert HOSTILE in Elements(page.html("/matches", search="hostile.test")).text


def test_messages_of_hostile_objects_are_text(tmp_path: Path) -> None:
    """Of names, fields and values that the schema refuses."""
    bad = route(rule("/", "shop"), name=HOSTILE, hostnames=[HOSTILE])
    bad["spec"][HOSTILE] = {HOSTILE: HOSTILE}
    page = Page(viewed(tmp_path, gateway(listener(HOSTILE)), bad))
    for path in ("/", "/gateways", "/routes", "/problems"):
        found = Elements(page.html(path))
        assert "img" not in found.names
    assert "<img src=x" in Elements(page.html("/problems")).text


def test_the_policy_of_the_page_lets_nothing_in(page: Page) -> None:
    policy_text = dict(page.ask("/").headers)["content-security-policy"]
    rules = dict(part.strip().partition(" ")[::2] for part in policy_text.split(";"))
    assert rules["default-src"] == "'none'"
    assert "unsafe" not in policy_text
    assert rules["script-src"] == rules["style-src"] == rules["connect-src"] == "'self'"
    assert rules["frame-ancestors"] == rules["base-uri"] == "'none'"


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/routes", {"only": "wrong"}, "nowhere"),
        ("/routes", {"search": "BROKEN"}, "HTTPRoute/default/broken"),
        ("/matches", {"hostname": "shop.test", "mine": "HTTPRoute/default/unlucky"}, "← this route"),
        ("/explain", {"request": "curl http://shop.test:8080/admin", "from": "192.0.2.7"}, "is answered 401"),
        ("/certificates", {}, "✗ expired"),
        ("/generations", {}, "✗ behind"),
        ("/policies", {}, "HTTPRoute default/shop/admin"),
        ("/backends", {}, "no ready endpoint"),
    ],
)
def test_the_page_reads_without_a_script(page: Page, path: str, query: dict[str, str], said: str) -> None:
    assert said in Elements(page.html(path, **query)).text


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Page:
    """With a thousand routes."""
    routes = [
        route(rule(f"/{number}", "shop"), name=f"app-{number:04}", hostnames=[f"app-{number:04}.test"])
        for number in range(MANY)
    ]
    folder = tmp_path_factory.mktemp("crowded")
    return Page(viewed(folder, gateway(), *service("shop", ("192.0.2.1", 8080)), *routes))


def test_a_thousand_routes_come_in_parts(crowded: Page) -> None:
    """All of them, each once, whatever the limit; the page links to the next part."""
    seen: list[str] = []
    offset: int | None = 0
    while offset is not None:
        found = crowded.json("routes", offset=offset, limit=300, sort="object")
        assert found["total"] == MANY
        seen += [each["object"] for each in found["items"]]
        offset = found["next"]
    assert seen == [f"HTTPRoute/default/app-{number:04}" for number in range(MANY)]
    html = crowded.html("/routes", sort="-object")
    assert "app-0999" in html
    assert "1 to 50 of 1,000 routes" in Elements(html).text
    assert "951 to 1,000 of 1,000" in Elements(crowded.html("/routes", sort="-object", offset=950)).text
    assert (
        "1 to 1 of 1 routes, of those that were searched for"
        in Elements(crowded.html("/routes", search="APP-0777")).text
    )


def test_the_page_stays_small(crowded: Page) -> None:
    """Below 100 KiB in all, the two files with it; the API below its own limit."""
    files = sum(len(crowded.ask(path).body) for path in ("/page.css", "/page.js"))
    for path in ("/", "/routes", "/matches", "/gateways", "/backends", "/problems"):
        assert len(crowded.ask(path).body) + files < 100 * 1024, path
    assert len(crowded.ask("/api/v1/routes", limit=MOST).body) < 2 * 1024 * 1024


def test_long_objects_make_parts_shorter(tmp_path: Path) -> None:
    """However long they are an answer is bounded, and says where it goes on."""
    text = "x" * 3_000
    matches = [{"headers": [{"name": "x", "value": f"{number}{text}"}]} for number in range(60)]
    rules = [rule("/", "shop", matches=matches[start : start + 4]) for start in range(0, 60, 4)]
    routes = [route(*rules, name=f"long-{number}") for number in range(15)]
    page = Page(viewed(tmp_path, gateway(), *routes, *service("shop", ("192.0.2.1", 80))))
    found = page.json("matches", limit=MOST)
    assert found["total"] == 900
    assert 0 < found["next"] < 900
    assert page.json("matches", limit=MOST, offset=found["next"])["offset"] == found["next"]


def test_facts_are_made_once_for_each_change(tmp_path: Path) -> None:
    shown = viewed(tmp_path, gateway())
    page = Page(shown)
    serial = page.json("counters")["serial"]
    assert page.json("counters")["serial"] == serial
    page.shown = viewed(tmp_path, gateway(), route(rule("/", "a")))
    assert page.json("counters")["serial"] != serial
    assert page.json("routes")["total"] == 1

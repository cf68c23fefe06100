"""`explain` says of each part of a policy why it says what it says: the rule, the credential, who asks."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from system_manifests import dump, gateway, http_filter, opaque, policy, route, rule, service, target

ROOT = Path(__file__).parents[2]
Explain = Callable[..., tuple[int, str]]

KEY = "ann-0123456789abcdef"
LOGIN = {
    "name": "login",
    "issuer": "https://login.test",
    "audiences": ["*"],
    "keys": {"configMapRef": {"name": "keys"}},
}
JWKS = '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'
KEYS = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "keys"}, "data": {"jwks.json": JWKS}}
RULES = [
    {"name": "blocked", "action": "Deny", "clients": ["198.51.100.0/24"]},
    {"action": "Deny", "methods": ["DELETE"]},
    {"name": "readers", "methods": ["GET"]},
    {"users": ["ann"], "when": "!request.path.startsWith('/private')"},
]


def named(name: str, path: str) -> dict[str, object]:
    return {**rule(path, "app"), "name": name}


def of_rule(name: str, **spec: object) -> dict[str, object]:
    return policy("AccessPolicy", name, target("HTTPRoute", "shop", name), **spec)


WORLD = (
    gateway(),
    route(
        *(named(name, f"/{name}") for name in ("rules", "keys", "tokens", "staff", "both", "exempt", "other", "csrf")),
        named("rest", "/"),
        name="shop",
    ),
    *service("app", ("10.0.0.1", 80)),
    *service("oauth", ("10.0.0.2", 80)),
    opaque("clients", ann=KEY, bob="bob-0123456789abcdef"),
    opaque("staff", auth="ann:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"),
    KEYS,
    of_rule("rules", authorization={"rules": RULES}),
    of_rule(
        "keys",
        apiKey={"secretRefs": [{"name": "clients"}], "from": [{"header": "X-API-Key"}, {"query": "key"}]},
    ),
    of_rule("tokens", jwt={"providers": [LOGIN], "from": [{"header": "Authorization", "prefix": "Bearer "}]}),
    of_rule("staff", basic={"secretRef": {"name": "staff"}}, authorization={"rules": [{"users": ["ann"]}]}),
    of_rule("both", apiKey={"secretRefs": [{"name": "clients"}]}, basic={"secretRef": {"name": "staff"}}),
    of_rule(
        "exempt",
        apiKey={"secretRefs": [{"name": "clients"}]},
        exempt={"clients": ["10.0.0.0/8"], "methods": ["GET"], "when": "request.path != '/exempt/no'"},
    ),
    of_rule("other", external={"protocol": "HTTP", "backendRef": {"name": "oauth", "port": 80}}),
    of_rule("csrf", csrf={}),
    policy(
        "RateLimitPolicy",
        "limits",
        target("HTTPRoute", "shop", "other"),
        local={"limits": [{"name": "per-client", "key": ["client"], "requests": 5, "per": "1m"}]},
    ),
)


@pytest.fixture
def world(tmp_path: Path) -> Path:
    (tmp_path / "all.yaml").write_text(dump(*WORLD))
    return tmp_path


@pytest.mark.parametrize(
    ("method", "target", "options", "stanza", "expected"),
    [
        ("GET", "/rules", ("--from", "198.51.100.7"), "authorization", "refuses: by rules[0] (blocked)"),
        ("DELETE", "/rules", ("--from", "203.0.113.7"), "authorization", "refuses: by rules[1]"),
        ("GET", "/rules", ("--from", "203.0.113.7"), "authorization", "passes: by rules[2] (readers)"),
        (
            "POST",
            "/rules",
            ("--from", "203.0.113.7"),
            "authorization",
            "refuses: no rule holds, and default is Deny",
        ),
        (
            "POST",
            "/rules",
            ("--from", "203.0.113.7", "--as", "basic:ann"),
            "authorization",
            "refuses: no rule holds, and default is Deny",
        ),
        (
            "GET",
            "/rules",
            (),
            "authorization",
            "refuses: by rules[0] (blocked) (nobody can say who asks: --from was not given)",
        ),
        ("GET", "/keys", (), "apiKey", "refuses: there is no key in X-API-Key or the query parameter key"),
        (
            "GET",
            "/keys",
            ("-H", "x-api-key: wrong"),
            "apiKey",
            "refuses: what is in X-API-Key or the query parameter key is no client's key, or keys of several clients",
        ),
        (
            "GET",
            "/keys?key=bob-0123456789abcdef",
            ("-H", f"x-api-key: {KEY}"),
            "apiKey",
            "refuses: what is in X-API-Key or the query parameter key is no client's key, or keys of several clients",
        ),
        ("GET", "/keys", ("-H", f"x-api-key: {KEY}"), "apiKey", "passes"),
        ("GET", "/keys", ("--as", "apiKey:ann"), "apiKey", "passes: --as says who it is, ann"),
        ("GET", "/tokens", (), "jwt", "refuses: there is no token in Authorization: Bearer"),
        (
            "GET",
            "/tokens",
            ("-H", "authorization: Bearer a.b.c", "-H", "authorization: Bearer d.e.f"),
            "jwt",
            "refuses: there are several tokens in Authorization: Bearer",
        ),
        (
            "GET",
            "/tokens",
            ("-H", "authorization: Bearer a.b.c"),
            "jwt",
            "asks; taken to pass here: what it is shown is taken to be right, and nobody's: --as says whose it is",
        ),
        (
            "GET",
            "/staff",
            ("-H", "authorization: Basic YW5uOlUqVQ=="),
            "authorization",
            "asks; taken to pass here: it depends on who asks, which is not known here: --as says who",
        ),
        (
            "GET",
            "/staff",
            ("-H", "authorization: Basic !"),
            "basic",
            "refuses: Authorization: Basic is there twice, or has no user and password",
        ),
        ("GET", "/both", (), "apiKey", "refuses: there is no key in X-API-Key"),
        ("GET", "/both", (), "basic", "refuses: there is no Authorization: Basic"),
        ("GET", "/both", ("--as", "basic:ann"), "apiKey", "finds no credential"),
        ("GET", "/exempt", ("--from", "10.1.2.3"), "exempt", "holds: no credentials are asked of it"),
        (
            "GET",
            "/exempt",
            ("--from", "10.1.2.3", "-H", "x-api-key: wrong"),
            "apiKey",
            "finds no credential: the request is exempt, whatever it shows",
        ),
        ("GET", "/exempt", ("--from", "192.0.2.1"), "exempt", "does not hold: it comes from none of clients"),
        (
            "GET",
            "/exempt",
            (),
            "exempt",
            "does not hold: it comes from none of clients (nobody can say who asks: --from was not given)",
        ),
        (
            "POST",
            "/exempt/no",
            ("--from", "10.1.2.3"),
            "exempt",
            "does not hold: its method is none of methods; when is not true",
        ),
        ("GET", "/other", (), "external", "asks; taken to pass here: default/oauth:80"),
        ("GET", "/other", (), "local", "counts; taken to pass here: per-client (5 in 60s, burst 5, key client)"),
        (
            "POST",
            "/csrf",
            ("-H", "sec-fetch-site: cross-site", "-H", "origin: https://evil.test"),
            "csrf",
            "refuses: another site sent it, Sec-Fetch-Site is cross-site",
        ),
        (
            "POST",
            "/csrf",
            ("-H", "origin: https://evil.test"),
            "csrf",
            "refuses: another site sent it, Origin is https://evil.test",
        ),
    ],
)
def test_why(
    world: Path, explain: Explain, method: str, target: str, options: tuple[str, ...], stanza: str, expected: str
) -> None:
    status, text = explain(world, "-r", f"{method} http://shop.test:8080{target}", *options)
    kind = "RateLimitPolicy" if stanza == "local" else "AccessPolicy"
    place = target.partition("?")[0].split("/")[1]
    name = "limits" if stanza == "local" else place
    line = f"  policy    {stanza} of {kind}/default/{name}: {expected}  [HTTPRoute default/shop/{place}]"
    assert line in text.splitlines(), text
    assert status == (1 if "  answer    " in text else 0)


def test_of_connections(tmp_path: Path, explain: Explain) -> None:
    tcp = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "TCPRoute",
        "metadata": {"name": "tcp"},
        "spec": {"parentRefs": [{"name": "gateway"}], "rules": [{"backendRefs": [{"name": "app", "port": 80}]}]},
    }
    rules = [{"name": "office", "clients": ["192.0.2.0/24"]}]
    (tmp_path / "all.yaml").write_text(
        dump(
            gateway({"name": "tcp", "port": 5432, "protocol": "TCP"}),
            tcp,
            *service("app", ("10.0.0.1", 80)),
            policy("AccessPolicy", "staff", target("TCPRoute", "tcp"), authorization={"rules": rules}),
        )
    )
    line = "  policy    authorization of AccessPolicy/default/staff:"
    for client, expected in (("192.0.2.1", "passes: by rules[0] (office)"), ("198.51.100.1", "no rule holds")):
        text = explain(tmp_path, "-r", "tcp://:5432", "--from", client)[1]
        assert any(found.startswith(line) and expected in found for found in text.splitlines()), text


def test_many_rules(tmp_path: Path, explain: Explain) -> None:
    """Each of 64 rules is found, the first and the last among them."""
    rules = [{"users": [f"user-{number}"], "name": f"rule-{number}"} for number in range(64)]
    (tmp_path / "all.yaml").write_text(
        dump(
            gateway(),
            route(rule("/", "app"), name="shop"),
            *service("app", ("10.0.0.1", 80)),
            opaque("clients", ann=KEY),
            policy(
                "AccessPolicy",
                "staff",
                target("HTTPRoute", "shop"),
                apiKey={"secretRefs": [{"name": "clients"}]},
                authorization={"rules": rules},
            ),
        )
    )
    for number in (0, 1, 31, 62, 63):
        text = explain(tmp_path, "-r", "http://shop.test:8080/", "--as", f"apiKey:user-{number}")[1]
        assert f"passes: by rules[{number}] (rule-{number})" in text, text


def test_as_json(world: Path, explain: Explain) -> None:
    found = json.loads(explain(world, "-r", "http://shop.test:8080/keys", "-o", "json")[1])
    assert [item["verdict"] for item in found["decision"]["policies"]] == ["deny"]
    assert found["because"] == ["there is no key in X-API-Key or the query parameter key"]


def test_what_a_backend_without_endpoints_would_get(tmp_path: Path, explain: Explain) -> None:
    (tmp_path / "all.yaml").write_text(
        dump(
            gateway(),
            route(
                rule(
                    "/",
                    "app",
                    filters=[
                        {
                            "type": "ExtensionRef",
                            "extensionRef": {"group": "sluicegate.dev", "kind": "HTTPFilter", "name": "who"},
                        }
                    ],
                ),
                name="shop",
            ),
            service("app")[0],
            opaque("clients", ann=KEY),
            http_filter("who", headers={"request": {"set": [{"name": "x-area", "value": "shop"}]}}),
            policy(
                "AccessPolicy",
                "keys",
                target("HTTPRoute", "shop"),
                apiKey={"secretRefs": [{"name": "clients"}], "forward": {"header": "X-User"}},
            ),
        )
    )
    status, text = explain(tmp_path, "-r", "http://shop.test:8080/a", "-H", f"x-api-key: {KEY}")
    lines = text.splitlines()
    assert status == 1
    assert "  endpoints none" in lines
    assert "  answer    503 (no_endpoint)" in lines
    assert "  sent as   GET shop.test:8080/a (once there is an endpoint)" in lines
    fields = {line.strip().lower() for line in lines}
    assert {"x-user: ann", "x-area: shop"} <= fields
    assert KEY not in text.partition("sent as")[2]


def test_where_each_part_comes_from(tmp_path: Path, explain: Explain) -> None:
    """The level that it is attached to; several levels of one policy are the lowest."""
    allow = {"authorization": {"default": "Allow"}}
    listener_set = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "ListenerSet",
        "metadata": {"name": "set"},
        "spec": {
            "parentRef": {"name": "gateway"},
            "listeners": [{"name": "own", "port": 8081, "protocol": "HTTP"}],
        },
    }
    parents = [{"name": "gateway"}, {"kind": "ListenerSet", "name": "set"}]
    (tmp_path / "all.yaml").write_text(
        dump(
            gateway(allowedListeners={"namespaces": {"from": "Same"}}),
            listener_set,
            route(named("first", "/first"), rule("/", "app"), name="shop", parents=parents),
            *service("app", ("10.0.0.1", 80)),
            opaque("clients", ann=KEY),
            policy("AccessPolicy", "edge", target("Gateway", "gateway"), strategy="Overrides", **allow),
            policy("AccessPolicy", "set", target("ListenerSet", "set", "own"), csrf={}),
            policy("ClientPolicy", "bodies", target("Gateway", "gateway", "http"), body={"maxSize": "1Ki"}),
            policy(
                "AccessPolicy",
                "keys",
                target("HTTPRoute", "shop"),
                target("HTTPRoute", "shop", "first"),
                apiKey={"secretRefs": [{"name": "clients"}]},
            ),
        )
    )

    def places(url: str) -> dict[str, str]:
        text = explain(tmp_path, "-r", url, "--as", "apiKey:ann")[1]
        lines = [line.split() for line in text.splitlines() if line.startswith("  policy ")]
        return {line[1]: " ".join(line).rpartition(" [")[2].rstrip("]") for line in lines}

    edge = "Gateway default/gateway, Overrides"
    assert places("http://shop.test:8080/first") == {
        "body": "Gateway default/gateway/http",
        "apiKey": "HTTPRoute default/shop/first",
        "authorization": edge,
    }
    assert places("http://shop.test:8081/") == {
        "apiKey": "HTTPRoute default/shop",
        "csrf": "ListenerSet default/set/own",
        "authorization": edge,
    }


def test_what_the_page_shows_is_what_is_written(explain: Explain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "policies" / "AccessPolicy.md").read_text()
    section = page.partition("## Trying it\n")[2].partition("\n## ")[0]
    shown = re.findall(r"^    \$ sluicegate explain (.*)\n((?:    .*\n)+)", section, re.MULTILINE)
    assert len(shown) == 3
    for arguments, expected in shown:
        assert textwrap.indent(explain(*shlex.split(arguments))[1], "    ") == expected

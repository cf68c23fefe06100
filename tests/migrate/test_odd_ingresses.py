"""Ingresses made at random, the same in every run: whatever they say, what comes out holds some rules.

`TEST_MIGRATE_SEEDS=500` searches longer.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from sluicegate.checks import native_checks
from sluicegate.cli.annotated_yaml import write_manifests
from sluicegate.cli.application import main
from sluicegate.cli.checked import REFERENCE_CODES
from sluicegate.controller.api import decode
from sluicegate.controller.api.ingress import INGRESS_KINDS
from sluicegate.controller.api.meta import CLUSTER
from sluicegate.controller.ingress import NGINX, Conversion, Inventory, Name, Options, convert

SEEDS = int(os.environ.get("TEST_MIGRATE_SEEDS", "30"))
INGRESSES = 10
#: What `check` may say of what comes out: what is named is not there; what cannot be served is closed; what a host with
#: expressions, a wildcard or a canary takes from others; a host without TLS that asks for certificates lets nobody in.
MEANT = {
    *REFERENCE_CODES,
    "no-backends",
    "no-objects",
    "shadowed-route",
    "unreachable-rule",
    "policy-part-unused",
    "no-client-validation",
    "unused-backends",
}
#: Annotations without which nobody may be let in.
PROTECTING = ("auth-type", "auth-url", "auth-tls-secret", "allowlist-source-range", "denylist-source-range")

HOSTS = (
    "a.example.com",
    "b.example.com",
    "*.example.com",
    "www.a.example.com",
    "deep.b.example.com",
    "",
    "B.example.com",
)
PATHS = (
    "/",
    "",
    "/api",
    "/api/",
    "/api(/|$)(.*)",
    "/v([0-9]+)/(.*)",
    "/()(.*)",
    "/a.b",
    "/(?!x)",
    "/a|/b",
    "/x//y",
    "/%2f",
    "/ü",
    "/a b",
    "no-slash",
    "/(",
    "/.well-known/acme-challenge/t",
    "/shop.Cart/Get",
)
TYPES = ("Prefix", "Exact", "ImplementationSpecific", "", "Odd")
VALUES = (
    "true",
    "false",
    "on",
    "off",
    "",
    " ",
    "0",
    "1",
    "-1",
    "60",
    "8m",
    "1e9",
    "99999999999999999999",
    "any",
    "basic",
    "cookie",
    "ewma",
    "HTTPS",
    "GRPC",
    "FCGI",
    "nonsense",
    "/$1",
    "/$2",
    "/new/$2",
    "/constant",
    "/a?b=$1",
    "https://new.example.org/x",
    "https://$host/oauth2/auth",
    "http://auth.shop.svc.cluster.local/x",
    "http://[::1",
    "https://new.example.org$request_uri",
    "10.0.0.0/8,192.0.2.1",
    "10.0.0.0/8,x",
    "users",
    "shop/users",
    "other/users",
    "X-A, X-B",
    "$remote_addr",
    "$http_x",
    "200 1m",
    "404,503",
    "web",
    "a\nb",
    "\x00",
    "'\"\\`{}[]",
    "é" * 300,
)
#: Values that one person or another has a reason to write: from the usual to what no field of a manifest has room for.
LARGE = (
    *("100", "101", "102", "600", "1001", "3600", "3601", "7200", "32400", "32401", "86400", "86401", "99999"),
    *("100000", "1000000", "1000001", "16777217", "359996400", "359996401", "630720000", "2147483647", "2147483648"),
    *("4294967296", "1000000001", "999999999999", "99999999999999999", "1d", "3w", "5000w", "16k", "100g", "9999999g"),
    *("200 202 401 1000h", "200 10000m", "8 16k", "999999 16g", "101 ms", "off", "error timeout http_404 http_503"),
    *("a b", "X-A X-B,X-C", "GET POST", "a,b;c", "*", '"q"', "Ü", "x y", "~*^/(.*)$", "text/html; charset=utf-8"),
    *("x" * 64, "x" * 257, "X-" + "a" * 300, "x" * 5000, "/" + "x" * 1030, "https://example.com/" + "x" * 1030),
    *("a-" + "b" * 70 + ".example.com", ".".join(["a" * 60] * 5), "https://a.example.com:99999/x", "http://a/x y"),
    *("$request_uri", "${http_x}_$host", "https://example.com:0/", "-5m", "0.5", "+1", "1_000", "0x10", "١٢"),
    ",".join(f"10.{number // 250}.{number % 250}.0/24" for number in range(600)),
    ",".join(f"X-{number}" for number in range(100)),
    ",".join(f"h{number}.example.org" for number in range(100)),
    ",".join(f"https://h{number}.example.org" for number in range(100)),
    ",".join(f"{number}" for number in range(400, 500)),
    "timeout " + " ".join(f"http_{number}" for number in range(500, 600)),
)


BACKEND = {"service": {"name": "web", "port": {"number": 80}}}


def made(seed: int) -> list[dict[str, Any]]:
    """Ingresses and what they use."""
    chosen = random.Random(seed)
    users = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "users", "namespace": "shop"}}
    found: list[dict[str, Any]] = [
        {
            **users,
            "stringData": {"auth": "a:$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "ca.crt": "x"},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"ports": [{"port": 80, "name": "http"}]},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "out", "namespace": "shop"},
            "spec": {"type": "ExternalName", "externalName": "api.example.org", "ports": []},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "settings", "namespace": "in"},
            "data": {name: chosen.choice(VALUES) for name in chosen.sample(sorted(NGINX.settings), 6)},
        },
    ]
    for number in range(INGRESSES):
        names = chosen.sample(sorted(NGINX.rows), chosen.randrange(8))
        spec: dict[str, Any] = {"ingressClassName": "nginx", "rules": []}
        for host in chosen.sample(HOSTS, chosen.randrange(1, 3)):
            paths = [
                {
                    "path": chosen.choice(PATHS),
                    "pathType": chosen.choice(TYPES),
                    "backend": {
                        "service": {
                            "name": chosen.choice(("web", "out", "gone")),
                            "port": chosen.choice(({"number": 80}, {"name": "http"}, {"number": 0}, {})),
                        }
                    },
                }
                for _ in range(chosen.randrange(4))
            ]
            spec["rules"].append({"host": host, "http": {"paths": paths}})
        if chosen.random() < 0.4:
            spec["tls"] = [{"hosts": chosen.sample(HOSTS, 2), "secretName": chosen.choice(("one", "two", ""))}]
        if chosen.random() < 0.2:
            spec["defaultBackend"] = {"service": {"name": "web", "port": {"number": 80}}}
        annotations = {f"{NGINX.prefix}{name}": chosen.choice(VALUES) for name in names}
        annotations |= {"cert-manager.io/issuer": "i"} if chosen.random() < 0.3 else {}
        metadata = {
            "name": f"i{number}",
            "namespace": chosen.choice(("shop", "shop", "other")),
            "annotations": annotations,
        }
        found.append({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec})
    return found


def converted(seed: int, objects: list[dict[str, Any]]) -> Conversion:
    """What comes of it."""
    decoded = [decode(item, CLUSTER, INGRESS_KINDS) for item in json.loads(json.dumps(objects))]
    checks = native_checks()
    options = Options(
        config_map=Name("in", "settings"),
        standard_only=seed % 5 == 0,
        default_certificate=Name("in", "default") if seed % 3 == 0 else None,
        pattern_error=lambda pattern: checks.pattern(pattern).error,
    )
    return convert(Inventory.of(decoded), NGINX, options)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_rules_that_hold(seed: int, tmp_path: Path) -> None:
    objects = made(seed)
    conversion = converted(seed, objects)
    documents = [item.document for item in conversion.objects]

    # What is written is YAML that says the same.
    text = "".join(f"{line}\n" for line in write_manifests(conversion.objects))
    assert [item for item in yaml.safe_load_all(text) if item] == documents

    # Each annotation has its fate, with its name.
    told = {(item.object, item.subject) for item in conversion.fates}
    for item in objects:
        metadata = item["metadata"]
        for name, value in metadata.get("annotations", {}).items():
            if name.startswith(NGINX.prefix):
                assert (f"Ingress/{metadata['namespace']}/{metadata['name']}", name) in told, (name, value)

    # Names are there once, and an API server takes all of it.
    names = [(item["kind"], item["metadata"]["namespace"], item["metadata"]["name"]) for item in documents]
    assert len(names) == len(set(names))
    taken(conversion, tmp_path)


def taken(conversion: Conversion, folder: Path) -> None:
    """An API server and the controller take all that comes out."""
    path = folder / "out.yaml"
    path.write_text("".join(f"{line}\n" for line in write_manifests(conversion.objects)) or "# nothing\n")
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        main(["check", "--for", "cluster", "-o", "json", str(path)])
    problems = [item for item in json.loads(written.getvalue())["problems"] if item["code"] not in MEANT]
    assert [f"{item['object']}: {item['field']}: [{item['code']}] {item['message']}" for item in problems] == []


#: Settings that are about connections of clients.
CLIENTS = ("keep-alive", "keep-alive-requests", "http2-max-concurrent-streams", "large-client-header-buffers")
#: What has others read at all.
COMPANIONS = {
    "auth-": {"auth-type": "basic", "auth-secret": "users", "auth-url": "http://a.shop.svc/x"},
    "auth-cache": {"auth-cache-key": "$remote_addr"},
    "auth-keepalive": {"auth-keepalive": "5"},
    "auth-signin": {"auth-signin": "https://login.example.com/start"},
    "auth-tls": {"auth-tls-secret": "users"},
    "canary": {"canary": "true", "canary-by-header": "X-A"},
    "cors": {"enable-cors": "true"},
    "custom-http": {"default-backend": "web"},
    "limit": {"limit-rps": "5"},
    "proxy-next-upstream-": {"proxy-next-upstream": "error http_503"},
    "proxy-redirect": {"proxy-redirect-from": "http://a/", "proxy-redirect-to": "http://b/"},
    "proxy-ssl": {"backend-protocol": "HTTPS", "proxy-ssl-verify": "on"},
    "upstream-hash": {"upstream-hash-by": "$remote_addr", "upstream-hash-by-subset": "true"},
    "session": {"affinity": "cookie"},
    "x-forwarded-prefix": {"rewrite-target": "/x"},
}


@pytest.mark.parametrize("name", sorted(NGINX.rows))
def test_no_value_of_an_annotation_spoils_what_comes_out(name: str, tmp_path: Path) -> None:
    objects = made(0)[:3]
    for number, value in enumerate((*VALUES, *LARGE)):
        # What is said of a Service is said once: each value has one of its own.
        service = {"metadata": {"name": f"s{number}", "namespace": "shop"}, "spec": {"ports": [{"port": 80}]}}
        objects.append({"apiVersion": "v1", "kind": "Service", **service})
        backend = {"service": {"name": f"s{number}", "port": {"number": 80}}}
        found = {
            key: item for prefix, items in COMPANIONS.items() if name.startswith(prefix) for key, item in items.items()
        }
        annotations = {f"{NGINX.prefix}{key}": item for key, item in {**found, name: value}.items()}
        # Without expressions a host has the second path alone.
        paths = [
            {"path": "/a(/|$)(.*)", "pathType": "ImplementationSpecific", "backend": backend},
            {"path": "/b", "pathType": "Prefix", "backend": backend},
        ]
        rule = {"host": f"h{number}.example.com", "http": {"paths": paths}}
        metadata = {"name": f"i{number}", "namespace": "shop", "annotations": annotations}
        spec = {"ingressClassName": "nginx", "rules": [rule]}
        objects.append({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec})
    taken(converted(1, objects), tmp_path)


@pytest.mark.parametrize("value", LARGE[:40])
def test_no_value_of_settings_spoils_what_comes_out(value: str, tmp_path: Path) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "in"}}
    for names in (CLIENTS, sorted(NGINX.settings)):
        given = {**settings, "data": dict.fromkeys(names, value)}
        taken(converted(1, [*made(0)[1:2], given, web({}, ["/"])]), tmp_path)


def web(annotations: dict[str, str], paths: list[str]) -> dict[str, Any]:
    """An Ingress of one host with a certificate."""
    rules = [{"path": path, "pathType": "Prefix", "backend": BACKEND} for path in paths]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "annotations": {f"{NGINX.prefix}{name}": value for name, value in annotations.items()},
        },
        "spec": {
            "ingressClassName": "nginx",
            "tls": [{"hosts": ["web.example.com"], "secretName": "one"}],
            "rules": [{"host": "web.example.com", "http": {"paths": rules}}],
        },
    }


@pytest.mark.parametrize("count", [1, 64, 65, 127, 128, 129, 400])
def test_each_path_is_sent_to_https_however_many_there_are(count: int, tmp_path: Path) -> None:
    paths = [f"/p{number}" for number in range(count - 1)]
    conversion = converted(1, [*made(0)[1:2], web({}, [*paths, "/"])])
    taken(conversion, tmp_path)
    routes = [item.document for item in conversion.objects if "-to-https" in item.name]
    sent = [each["path"]["value"] for item in routes for rule in item["spec"]["rules"] for each in rule["matches"]]
    assert sorted(sent) == sorted([*paths, "/"])


@pytest.mark.parametrize(
    ("annotations", "told", "part"),
    [
        ({"proxy-connect-timeout": "7200"}, "at most 1h is taken, and holds", "connect: 1h"),
        (
            {"proxy-connect-timeout": "60", "proxy-read-timeout": "100000"},
            "at most 24h is taken, and holds",
            "firstByte: 24h",
        ),
        ({"proxy-next-upstream-timeout": "3601"}, "at most 1h is taken, and holds", "within: 1h"),
        (
            {"proxy-next-upstream": "http_503", "proxy-next-upstream-tries": "102"},
            "at most 100 is taken, and holds",
            "attempts: 100",
        ),
        (
            {"affinity": "cookie", "session-cookie-max-age": "2147483647"},
            "at most 99999h is taken, and holds",
            "absoluteTimeout: 99999h",
        ),
        ({"enable-cors": "true", "cors-max-age": "0"}, "1 second at least", "maxAge: 1\n"),
        ({"limit-rpm": "5", "limit-rps": "1000001"}, "at most 1,000,000 is taken", "requests: 1000000"),
    ],
)
def test_a_value_beyond_what_there_is_room_for_is_told_at_its_own_annotation(
    annotations: dict[str, str], told: str, part: str
) -> None:
    conversion = converted(1, [*made(0)[1:2], web(annotations, ["/"])])
    found = [item for item in conversion.fates if told in item.message]
    assert {item.subject for item in found} == {f"{NGINX.prefix}{list(annotations)[-1]}"}
    assert {item.fate for item in found} == {"converted-with-difference"}
    assert part in "\n".join(write_manifests(conversion.objects))


def test_blanks_part_the_names_of_fields_too() -> None:
    annotations = {"enable-cors": "true", "cors-allow-headers": "X-A X-B,X-C", "cors-expose-headers": "X-D, no:name"}
    conversion = converted(1, [*made(0)[1:2], web(annotations, ["/"])])
    filters = [
        each["cors"]
        for item in conversion.objects
        if item.kind == "HTTPRoute"
        for rule in item.document["spec"]["rules"]
        for each in rule.get("filters", ())
        if "cors" in each
    ]
    assert filters[0]["allowHeaders"] == ["X-A", "X-B", "X-C"]
    assert filters[0]["exposeHeaders"] == ["X-D"]
    told = [item for item in conversion.losses if item.subject.endswith("cors-expose-headers")]
    assert [item.message for item in told] == ["no names of fields: no:name; left out"]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_nobody_is_let_in_who_was_not(seed: int) -> None:
    """Routes of an Ingress that asks for something have a policy that asks for it, or no backend."""
    objects = made(seed)
    documents = [item.document for item in converted(seed, objects).objects]
    asking = {
        (item["metadata"]["namespace"], item["metadata"]["name"])
        for item in objects
        if any(item["metadata"].get("annotations", {}).get(f"{NGINX.prefix}{name}", "").strip() for name in PROTECTING)
        and item["metadata"]["annotations"].get(f"{NGINX.prefix}canary") not in {"true", "1"}
    }
    targets = {
        (item["metadata"]["namespace"], target["name"])
        for item in documents
        if item["kind"] == "AccessPolicy"
        for target in item["spec"]["targetRefs"]
    }
    for item in documents:
        if item["kind"] not in {"HTTPRoute", "GRPCRoute"}:
            continue
        namespace, name = item["metadata"]["namespace"], item["metadata"]["name"]
        owner = (namespace, name.partition("-")[0])
        serves = any(rule.get("backendRefs") for rule in item["spec"]["rules"])
        if serves and owner in asking and (namespace, name) not in targets:
            annotations = next(
                each["metadata"]["annotations"] for each in objects if each["metadata"]["name"] == owner[1]
            )
            off = annotations.get(f"{NGINX.prefix}auth-tls-verify-client") == "off"
            assert off, (name, {key: value for key, value in annotations.items() if "auth" in key or "range" in key})

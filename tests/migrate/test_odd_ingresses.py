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
#: expressions, a wildcard or a canary takes from others.
MEANT = {
    *REFERENCE_CODES,
    "no-backends",
    "no-objects",
    "shadowed-route",
    "unreachable-rule",
    "policy-part-unused",
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


#: What has others read at all.
COMPANIONS = {
    "auth-": {"auth-type": "basic", "auth-secret": "users", "auth-url": "http://a.shop.svc/x"},
    "auth-tls": {"auth-tls-secret": "users"},
    "canary": {"canary": "true", "canary-by-header": "X-A"},
    "cors": {"enable-cors": "true"},
    "custom-http": {"default-backend": "web"},
    "limit": {"limit-rps": "5"},
    "proxy-redirect": {"proxy-redirect-from": "http://a/", "proxy-redirect-to": "http://b/"},
    "proxy-ssl": {"backend-protocol": "HTTPS", "proxy-ssl-verify": "on"},
    "session": {"affinity": "cookie"},
    "x-forwarded-prefix": {"rewrite-target": "/x"},
}


@pytest.mark.parametrize("name", sorted(NGINX.rows))
def test_no_value_of_an_annotation_spoils_what_comes_out(name: str, tmp_path: Path) -> None:
    objects = made(0)[:3]
    for number, value in enumerate(VALUES):
        found = {
            key: item for prefix, items in COMPANIONS.items() if name.startswith(prefix) for key, item in items.items()
        }
        annotations = {f"{NGINX.prefix}{key}": item for key, item in {**found, name: value}.items()}
        path = {"path": "/a(/|$)(.*)", "pathType": "ImplementationSpecific"}
        rule = {"host": f"h{number}.example.com", "http": {"paths": [{**path, "backend": BACKEND}]}}
        metadata = {"name": f"i{number}", "namespace": "shop", "annotations": annotations}
        spec = {"ingressClassName": "nginx", "rules": [rule]}
        objects.append({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec})
    taken(converted(1, objects), tmp_path)


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

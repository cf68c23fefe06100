"""Ingresses made at random as people write them, the same in every run: several of a host, with what goes together."""

from __future__ import annotations

import random
from typing import Any

from ingress_objects import config_map, ingress

HOSTS = ("shop.example.com", "api.example.com", "*.example.com", "www.example.org", "example.net", "")
LITERALS = ("/", "/api", "/api/", "/api/v1", "/login", "/files/", "/foo.bar", "/a-b_c", "/API")  # fmt: skip
LITERALS += ("/.well-known/acme-challenge/x",)
EXPRESSIONS = (
    "/api(/|$)(.*)",
    "/()(.*)",
    "/v([0-9]+)/users/(.*)",
    "/api/v[0-9]+",
    "/(images|css)/(.*)\\.png",
    "/foo.bar",
    "/orders/?(.*)",
    "/",
    "/items/[a-z]{2,4}",
)
TARGETS = ("/$2", "/$1", "/new/$2", "/constant", "/", "/v2/$1/$2", "/x$1")
SERVICES = ("web", "api", "login", "files", "next")
#: Annotations that go together, and how often they are there.
GROUPS: tuple[tuple[float, tuple[dict[str, str], ...]], ...] = (
    (
        0.25,
        (
            {"ssl-redirect": "false"},
            {"force-ssl-redirect": "true"},
            {"ssl-redirect": "true", "preserve-trailing-slash": "true"},
        ),
    ),
    (
        0.12,
        (
            {"permanent-redirect": "https://new.example.com"},
            {"permanent-redirect": "https://new.example.com/there", "permanent-redirect-code": "308"},
            {"temporal-redirect": "https://new.example.com:8443/x"},
            {"temporal-redirect": "http://new.example.com/", "temporal-redirect-code": "307"},
        ),
    ),
    (0.12, ({"app-root": "/app"}, {"app-root": "/login"})),
    (0.08, ({"from-to-www-redirect": "true"},)),
    (0.08, ({"server-alias": "alias.example.com"}, {"server-alias": "other.example.com, *.alias.example.org"})),
    (
        0.2,
        (
            {"allowlist-source-range": "10.0.0.0/8,192.0.2.7"},
            {"whitelist-source-range": "203.0.113.0/24"},
            {"denylist-source-range": "203.0.113.0/25"},
            {"allowlist-source-range": "10.0.0.0/8", "denylist-source-range": "10.1.0.0/16"},
            {"allowlist-source-range": "10.0.0.0/8, nonsense"},
        ),
    ),
    (
        0.15,
        (
            {"auth-type": "basic", "auth-secret": "users"},
            {
                "auth-type": "basic",
                "auth-secret": "users",
                "satisfy": "any",
                "allowlist-source-range": "10.0.0.0/8",
            },
            {"auth-type": "digest", "auth-secret": "users"},
            {"auth-type": "basic"},
        ),
    ),
    (
        0.12,
        (
            {"auth-url": "http://oauth2-proxy.auth.svc.cluster.local:4180/oauth2/auth"},
            {
                "auth-url": "http://oauth2-proxy.auth.svc.cluster.local:4180/oauth2/auth",
                "auth-signin": "https://login.example.com/start",
                "auth-response-headers": "X-User",
            },
            {"auth-url": "https://$host/oauth2/auth"},
        ),
    ),
    (
        0.2,
        (
            {"enable-cors": "true"},
            {"enable-cors": "true", "cors-allow-origin": "https://app.example.com, https://*.example.org"},
            {
                "enable-cors": "true",
                "cors-allow-origin": "http://localhost:3000",
                "cors-allow-methods": "GET, PUT",
                "cors-allow-credentials": "false",
                "cors-max-age": "600",
                "cors-expose-headers": "X-Total",
            },
        ),
    ),
    (0.15, ({"upstream-vhost": "internal.example.com"},)),
    (0.1, ({"limit-rps": "5"}, {"limit-connections": "2", "limit-whitelist": "10.0.0.0/8"})),
    (0.1, ({"proxy-body-size": "8m", "proxy-read-timeout": "600"}, {"affinity": "cookie"})),
    (0.05, ({"mirror-target": "http://copy.shop.svc.cluster.local$request_uri"},)),
    (0.05, ({"backend-protocol": "HTTPS"}, {"backend-protocol": "FCGI"})),
    (0.05, ({"auth-tls-secret": "shop/ca"}, {"auth-tls-secret": "shop/ca", "auth-tls-verify-client": "optional"})),
    (0.05, ({"configuration-snippet": "more_set_headers 'X-A: b';"},)),
    (0.04, ({"ssl-passthrough": "true"},)),
    (0.05, ({"custom-headers": "in/answers"},)),
)
CANARIES: tuple[dict[str, str], ...] = (
    {"canary-weight": "20"},
    {"canary-weight": "100"},
    {"canary-weight": "30", "canary-weight-total": "300"},
    {"canary-by-header": "X-Canary"},
    {"canary-by-header": "X-Canary", "canary-by-header-value": "yes", "canary-weight": "10"},
    {"canary-by-header": "X-Canary", "canary-by-header-pattern": "^(a|b)$"},
    {"canary-by-cookie": "canary"},
    {"canary-by-header": "X-Canary", "canary-by-cookie": "canary", "canary-weight": "5"},
)
SETTINGS: tuple[dict[str, str], ...] = (
    {"ssl-redirect": "false"},
    {"hsts": "false"},
    {"hsts-max-age": "600", "hsts-preload": "true"},
    {"force-ssl-redirect": "true"},
    {"http-redirect-code": "301"},
    {"whitelist-source-range": "10.0.0.0/8"},
    {"enable-underscores-in-headers": "true"},
    {"no-tls-redirect-locations": "/healthz,/api"},
    {"global-allowed-response-headers": "X-Answer,X-Other"},
    {"add-headers": "in/answers"},
    {"proxy-set-headers": "in/requests"},
    {"hide-headers": "X-Powered-By"},
    {"allow-snippet-annotations": "true", "annotations-risk-level": "Critical"},
)


def generated(seed: int) -> list[dict[str, Any]]:
    """The objects of a seed."""
    chance = random.Random(seed)
    objects: list[dict[str, Any]] = []
    names = chance.sample(HOSTS, chance.randint(1, 2))
    primaries: list[tuple[str, list[tuple[str, str, str]]]] = []
    for number in range(chance.randint(1, 4)):
        host = chance.choice(names)
        expressions = chance.random() < 0.35
        paths = [_path(chance, expressions=expressions) for _ in range(chance.randint(1, 4))]
        primaries.append((host, paths))
        objects.append(
            ingress(
                f"i{number}",
                host,
                paths,
                _annotations(chance, expressions=expressions),
                tls=bool(host) and chance.random() < 0.7,
                created=f"2026-01-0{chance.randint(1, 9)}T00:00:00Z",
                **_default(chance),
            )
        )
    if chance.random() < 0.35:
        host, paths = chance.choice(primaries)
        chosen = [(path, kind, "next") for path, kind, _ in chance.sample(paths, 1)]
        annotations = {"canary": "true", **chance.choice(CANARIES)}
        objects.append(ingress("canary", host, chosen, annotations, created="2026-02-01T00:00:00Z"))
    if chance.random() < 0.1:
        backend = {"service": {"name": "fallback", "port": {"number": 80}}}
        # Older than the others, as old as some, or younger: which one goes first has to be seen.
        aged = random.Random(seed).choice(("2025-01-01", "2026-01-04", "2026-01-05", "2026-03-01"))
        objects.append(ingress("fallback", "", (), created=f"{aged}T00:00:00Z", defaultBackend=backend))
    if chance.random() < 0.3:
        objects.append(config_map("settings", {**chance.choice(SETTINGS), **chance.choice(SETTINGS)}))
    objects.append(config_map("answers", {"X-Answer": "yes"}))
    objects.append(config_map("requests", {"X-Request": "yes"}))
    return objects


def _path(chance: random.Random, *, expressions: bool) -> tuple[str, str, str]:
    service = chance.choice(SERVICES[:-1])
    if expressions:
        return chance.choice(EXPRESSIONS), "ImplementationSpecific", service
    return chance.choice(LITERALS), chance.choice(("Prefix", "Prefix", "Exact", "ImplementationSpecific")), service


def _annotations(chance: random.Random, *, expressions: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    if expressions:
        found |= {"use-regex": "true"} if chance.random() < 0.6 else {}
        found |= {"rewrite-target": chance.choice(TARGETS)} if chance.random() < 0.7 or not found else {}
    elif chance.random() < 0.08:
        found["rewrite-target"] = chance.choice(("/", "/constant"))
    for often, choices in GROUPS:
        if chance.random() < often:
            found |= chance.choice(choices)
    return found


def _default(chance: random.Random) -> dict[str, Any]:
    if chance.random() < 0.12:
        return {"defaultBackend": {"service": {"name": "fallback", "port": {"number": 80}}}}
    return {}

"""The model of ingress-nginx: what it answers where people go wrong, by the sources of its 1.15.1 and of nginx."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest
from ingress_objects import config_map, ingress, model_of

from sluicegate.controller.ingress.model.uri import Uri, read, write
from sluicegate.controller.ingress.probes import Probe
from sluicegate.controller.ingress.probes.examples import example

HOST = "shop.example.com"
STRIP = [ingress(paths=[("/api(/|$)(.*)", "api"), ("/()(.*)", "web")], annotations={"rewrite-target": "/$2"})]
REGEX = [
    ingress(
        "regex", paths=[("/api/v[0-9]+", "old"), ("/api/v[0-9]+/users", "users")], annotations={"use-regex": "true"}
    ),
    ingress("plain", paths=[("/exact", "Exact", "exact"), ("/foo.bar", "Prefix", "foo")]),
]
TLS = [ingress(tls=True)]
CANARY = {"canary": "true", "canary-by-header": "X-Canary", "canary-by-cookie": "side", "canary-weight": "20"}
WITH_CANARY = [ingress(), ingress("next", paths=[("/", "Prefix", "next")], annotations=CANARY)]
CORS = {"enable-cors": "true", "cors-allow-origin": "https://*.example.com"}
ORIGIN = (("origin", "https://app.example.com"),)


def asked(target: str = "/", host: str = HOST, **rest: Any) -> Probe:
    return Probe(host=host, target=target, **rest)


def _with_class(annotation: str, field: str) -> dict[str, Any]:
    made = ingress()
    made["metadata"]["annotations"] = {"kubernetes.io/ingress.class": annotation}
    made["spec"]["ingressClassName"] = field
    return made


#: What is asked of what, and how the answer is written.
TRAPS: dict[str, tuple[list[dict[str, Any]], Probe, str]] = {
    # 1, 2: expressions are the whole host's, in any case, open at the end.
    "regex of another Ingress": (REGEX, asked("/EXACT/more"), "/EXACT/more of shop.example.com to shop/exact:80"),
    "a full stop is any character": (REGEX, asked("/fooxbar123"), "/fooxbar123 of shop.example.com to shop/foo:80"),
    # 3: the longer text goes first, of equal ones the later.
    "the longer expression": (REGEX, asked("/api/v1/users/7"), "/api/v1/users/7 of shop.example.com to shop/users:80"),
    "the later text": (
        [ingress(paths=[("/a.", "one"), ("/ab", "two")], annotations={"use-regex": "true"})],
        asked("/ab"),
        "/ab of shop.example.com to shop/two:80",
    ),
    # 4: prefixes go by segments.
    "prefix by segments": (
        [ingress(paths=[("/foo", "Prefix", "foo"), ("/", "Prefix", "web")])],
        asked("/foobar"),
        "/foobar of shop.example.com to shop/web:80",
    ),
    "prefix itself": (
        [ingress(paths=[("/foo", "Prefix", "foo"), ("/", "Prefix", "web")])],
        asked("/foo"),
        "/foo of shop.example.com to shop/foo:80",
    ),
    "exact before prefix": (
        [ingress(paths=[("/foo", "Prefix", "foo"), ("/foo", "Exact", "only")])],
        asked("/foo"),
        "/foo of shop.example.com to shop/only:80",
    ),
    # 5: a slash at the end is asked for.
    "slash is asked for": (
        [ingress(paths=[("/p/", "Prefix", "web")])],
        asked("/p?a=1"),
        "301 to http://shop.example.com/p/?a=1",
    ),
    "slash is asked for by a path": (
        [ingress(paths=[("/p/", "Prefix", "web")], annotations={"relative-redirects": "true"})],
        asked("/p?a=1"),
        "301 to /p/?a=1",
    ),
    "no slash for expressions": (
        [ingress(paths=[("/p/", "web")], annotations={"use-regex": "true"})],
        asked("/p"),
        "404",
    ),
    # 6: to https.
    "to https without the last slash": (TLS, asked("/api/"), "308 to https://shop.example.com/api"),
    "to https with the last slash": (
        [ingress(tls=True, annotations={"preserve-trailing-slash": "true"})],
        asked("/api/"),
        "308 to https://shop.example.com/api/",
    ),
    "no TLS, no redirect": ([ingress()], asked("/api"), "/api of shop.example.com to shop/web:80"),
    "forced": (
        [ingress(annotations={"force-ssl-redirect": "true"})],
        asked("/api"),
        "308 to https://shop.example.com/api",
    ),
    "acme is exempt": (
        [ingress(tls=True, paths=[("/.well-known/acme-challenge/x", "Exact", "acme")])],
        asked("/.well-known/acme-challenge/x"),
        "/.well-known/acme-challenge/x of shop.example.com to shop/acme:80",
    ),
    "nobody is believed": (
        TLS,
        asked("/", headers=(("x-forwarded-proto", "https"),)),
        "308 to https://shop.example.com/",
    ),
    "the proxy in front is believed": (
        [*TLS, config_map("settings", {"use-forwarded-headers": "true"})],
        asked("/", headers=(("x-forwarded-proto", "https"),)),
        "/ of shop.example.com to shop/web:80",
    ),
    "the wildcard above has a certificate": (
        [ingress(), ingress("any", "*.example.com", tls=True)],
        asked("/"),
        "308 to https://shop.example.com/",
    ),
    # 7: rewrites.
    "group of the path": (STRIP, asked("/api/v1?x=1"), "/v1?x=1 of shop.example.com to shop/api:80"),
    "the prefix alone": (STRIP, asked("/API"), "/ of shop.example.com to shop/api:80"),
    "a longer segment": (STRIP, asked("/apiary"), "/apiary of shop.example.com to shop/web:80"),
    "a constant drops the rest": (
        [ingress(paths=[("/metrics", "web")], annotations={"rewrite-target": "/m"})],
        asked("/metrics/below?x=1"),
        "/m?x=1 of shop.example.com to shop/web:80",
    ),
    "use-regex false changes nothing": (
        [ingress(paths=[("/m(.*)", "web")], annotations={"rewrite-target": "/x$1", "use-regex": "false"})],
        asked("/MORE"),
        "/xORE of shop.example.com to shop/web:80",
    ),
    "what is rewritten is escaped": (STRIP, asked("/api/a%20b%3Fc"), "/a%20b%3Fc of shop.example.com to shop/api:80"),
    # 8: canaries.
    "canary by weight": (WITH_CANARY, asked(), "/ of shop.example.com to shop/next:80 (20%) or shop/web:80 (80%)"),
    "canary by header": (
        WITH_CANARY,
        asked(headers=(("x-canary", "always"), ("cookie", "side=never"))),
        "/ of shop.example.com to shop/next:80",
    ),
    "canary by cookie": (
        WITH_CANARY,
        asked(headers=(("cookie", "a=b; side=never"),)),
        "/ of shop.example.com to shop/web:80",
    ),
    "a header that says neither": (
        WITH_CANARY,
        asked(headers=(("x-canary", "no"), ("cookie", "side=always"))),
        "/ of shop.example.com to shop/next:80",
    ),
    "a canary is of the Service": (
        [*WITH_CANARY, ingress("other", "other.example.com")],
        asked("/", "other.example.com", headers=(("x-canary", "always"),)),
        "/ of other.example.com to shop/next:80",
    ),
    "a canary alone": (
        [ingress("next", annotations={"canary": "true", "canary-weight": "100"})],
        asked(),
        "404",
    ),
    # 9: default backends.
    "default backend is the path /": (
        [
            ingress(
                paths=[("/api", "Prefix", "api")], defaultBackend={"service": {"name": "rest", "port": {"number": 80}}}
            )
        ],
        asked("/other"),
        "/other of shop.example.com to shop/rest:80",
    ),
    "default backend of an Ingress without rules": (
        [ingress(), ingress("all", "", (), defaultBackend={"service": {"name": "rest", "port": {"number": 80}}})],
        asked("/", "nobody.example.com"),
        "/ of nobody.example.com to shop/rest:80",
    ),
    "nobody has the path": ([ingress(paths=[("/api", "Prefix", "api")])], asked("/other"), "404"),
    # 10: the oldest stays.
    "the oldest Ingress stays": (
        [
            ingress("a", paths=[("/", "Prefix", "young")], created="2026-02-01T00:00:00Z"),
            ingress("b", paths=[("/", "Prefix", "old")], created="2026-01-01T00:00:00Z"),
        ],
        asked(),
        "/ of shop.example.com to shop/old:80",
    ),
    # 11: wildcards.
    "a wildcard is one label": ([ingress(host="*.example.com")], asked("/", "a.b.example.com"), "404"),
    "no falling through to a wildcard": (
        [ingress("any", "*.example.com"), ingress(paths=[("/api", "Prefix", "api")])],
        asked("/other"),
        "404",
    ),
    # 12: port 443 answers for everybody.
    "no TLS, and port 443": ([ingress()], asked("/", scheme="https"), "/ of shop.example.com to shop/web:80"),
    # 13, 15: who may.
    "a service is asked": (
        [ingress(annotations={"auth-url": "http://auth.shop.svc/x"})],
        asked(),
        "/ of shop.example.com to shop/web:80, external asked",
    ),
    "a password is asked for": (
        [ingress(annotations={"auth-type": "basic", "auth-secret": "users"})],
        asked(),
        "401 (password)",
    ),
    "an address suffices": (
        [
            ingress(
                annotations={
                    "auth-type": "basic",
                    "auth-secret": "users",
                    "satisfy": "any",
                    "allowlist-source-range": "10.0.0.0/8",
                }
            )
        ],
        asked(client="10.1.2.3"),
        "/ of shop.example.com to shop/web:80",
    ),
    "a service suffices": (
        [
            ingress(
                annotations={
                    "auth-type": "basic",
                    "auth-secret": "users",
                    "satisfy": "any",
                    "auth-url": "http://auth.shop.svc/x",
                }
            )
        ],
        asked(),
        "/ of shop.example.com to shop/web:80, external asked",
    ),
    "no list": (
        [ingress(annotations={"allowlist-source-range": "10.0.0.0/8, x"})],
        asked(),
        "503 (annotations that cannot be read)",
    ),
    "the redirect comes before the list": (
        [ingress(tls=True, annotations={"allowlist-source-range": "10.0.0.0/8"})],
        asked(),
        "308 to https://shop.example.com/",
    ),
    # 14: a preflight is answered before anything else.
    "preflight before the redirect": (
        [ingress(tls=True, annotations={**CORS, "auth-type": "basic", "auth-secret": "users"})],
        asked(method="OPTIONS", headers=ORIGIN),
        "204",
    ),
    "OPTIONS of another origin goes on": (
        [ingress(annotations=CORS)],
        asked(method="OPTIONS", headers=(("origin", "https://evil.example.net"),)),
        "/ of shop.example.com to shop/web:80",
    ),
    # 20: limits.
    "limits": (
        [ingress(annotations={"limit-rps": "1"})],
        asked(),
        "/ of shop.example.com to shop/web:80, limits asked",
    ),
    # 22: redirects.
    "temporal before permanent": (
        [
            ingress(
                annotations={
                    "temporal-redirect": "https://a.example.com/x",
                    "permanent-redirect": "https://b.example.com",
                }
            )
        ],
        asked("/path?q=1"),
        "302 to https://a.example.com/x",
    ),
    "the whole host, by the first Ingress": (
        [ingress(paths=[("/old", "Prefix", "web")], annotations={"permanent-redirect": "https://b.example.com"})],
        asked("/path"),
        "301 to https://b.example.com/",
    ),
    "www": (
        [ingress(annotations={"from-to-www-redirect": "true"})],
        asked("/a/", "www.shop.example.com"),
        "308 to http://shop.example.com/a (www)",
    ),
    "app-root is the server's": (
        [ingress(), ingress("app", paths=[("/app", "Prefix", "app")], annotations={"app-root": "/app"})],
        asked("/?a=1"),
        "302 to http://shop.example.com/app",
    ),
    # 23: another host.
    "upstream-vhost": (
        [ingress(annotations={"upstream-vhost": "inside.example.com"})],
        asked(),
        "/ of inside.example.com to shop/web:80",
    ),
    # 24: paths in their plain form.
    "slashes, dots and escapes": (
        [ingress(paths=[("/api", "Prefix", "api")])],
        asked("//x/../%61pi/./y"),
        "//x/../%61pi/./y of shop.example.com to shop/api:80",
    ),
    "above the root": ([ingress()], asked("/../x"), "400 (no host or no path)"),
    # 27: a snippet costs the Ingress where it is too risky.
    "a snippet": ([ingress(annotations={"configuration-snippet": "return 418;"})], asked(), "404"),
    # 28: passthrough is the whole host's.
    "passthrough": (
        [ingress(annotations={"ssl-passthrough": "true"}, tls=True), ingress("more", paths=[("/x", "Prefix", "more")])],
        asked("/x", scheme="https"),
        "bytes of TLS to shop/web:80",
    ),
    # 30: the field goes before the annotation, which counts where there is no field.
    "class": ([_with_class("x", field="nginx")], asked(), "/ of shop.example.com to shop/web:80"),
    "class of another": ([_with_class("nginx", field="x")], asked(), "404"),
    "class by annotation": ([_with_class("x", field="")], asked(), "404"),
    # Of Ingresses of one second the last one by name is the first.
    "of the same second": (
        [ingress("a", paths=[("/", "Prefix", "one")]), ingress("b", paths=[("/", "Prefix", "two")])],
        asked(),
        "/ of shop.example.com to shop/two:80",
    ),
    # 31: a certificate of the client.
    "no certificate": (
        [ingress(annotations={"auth-tls-secret": "shop/ca"}, tls=True)],
        asked(scheme="https"),
        "400 (no certificate of the client)",
    ),
    # 33: expressions of Perl.
    "look-ahead": (
        [ingress(paths=[("/(?!api)", "web"), ("/api", "api")], annotations={"use-regex": "true"})],
        asked("/api"),
        "/api of shop.example.com to shop/api:80",
    ),
    # What a validator refuses is as good as not there.
    "a target that is no path": (
        [ingress(paths=[("/a", "web")], annotations={"rewrite-target": "/x?a=$1"})],
        asked("/a/b"),
        "/a/b of shop.example.com to shop/web:80",
    ),
    "a flag that is none costs the Ingress": (
        [ingress(annotations={"from-to-www-redirect": "maybe"})],
        asked(),
        "404",
    ),
    "a field that is not allowed": (
        [ingress(annotations={"custom-headers": "in/answers"}), config_map("answers", {"X-A": "b"})],
        asked(),
        "503 (annotations that cannot be read)",
    ),
    "other name": (
        [ingress(annotations={"server-alias": "other.example.com"})],
        asked("/", "other.example.com"),
        "/ of other.example.com to shop/web:80",
    ),
}


@pytest.mark.parametrize("name", TRAPS)
def test_traps(name: str) -> None:
    documents, probe, expected = TRAPS[name]
    assert str(model_of(*documents).answer(probe)) == expected


def test_fields() -> None:
    """16, 26 and the rest: what nginx passes on, sets and takes out."""
    documents = [
        ingress(
            paths=[("/a(.*)", "web")],
            annotations={"rewrite-target": "/b$1", "x-forwarded-prefix": "/a", "custom-headers": "in/answers", **CORS},
            tls=True,
        ),
        config_map("answers", {"X-Answer": "yes"}),
        config_map("requests", {"X-Request": "yes"}),
        config_map(
            "settings",
            {
                "global-allowed-response-headers": "X-Answer",
                "proxy-set-headers": "in/requests",
                "hide-headers": "X-Powered-By",
            },
        ),
    ]
    headers = (*ORIGIN, ("x_under", "1"), ("x-plain", "1"), ("x-forwarded-for", "1.2.3.4"))
    found = model_of(*documents).answer(asked("/a/b", scheme="https", headers=headers))
    assert found.sent == {
        "origin": "https://app.example.com",
        "x-plain": "1",
        "x-forwarded-prefix": "/a",
        "x-request": "yes",
    }
    assert found.fields == {
        "content-type": "text/plain",
        "access-control-allow-origin": "https://app.example.com",
        "access-control-allow-credentials": "true",
        "x-answer": "yes",
        "strict-transport-security": "max-age=31536000; includeSubDomains",
    }


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/a//b/", Uri("/a/b/", "")),
        ("/a/./b/../c?x=/../", Uri("/a/c", "x=/../")),
        ("/%2e%2E/a", None),
        ("/a/..", Uri("/", "")),
        ("/a%2Fb", Uri("/a/b", "")),
        ("/%00", None),
        ("/%zz", None),
        ("a", None),
    ],
)
def test_targets(target: str, expected: Uri | None) -> None:
    assert read(target) == expected


def test_a_path_is_written_as_it_can_be_read() -> None:
    for text in ("/a b", "/ä?", "/%", "/plain-._~!$&'()*+,;=:@"):
        found = read(write(text))
        assert found == Uri(text, "")


@pytest.mark.parametrize(
    "pattern", ["/api(/.*)?", "/v([0-9]+)/u?x{2,3}", "/(a|b|c)+/[^/]+", r"/\d\w\.x", "/(?i)a", "/(?:x|y)z", "/[a-f]*$"]
)
def test_examples_match(pattern: str) -> None:
    chance = random.Random(1)
    found = {example(pattern, chance) for _ in range(20)}
    plain = pattern.replace("(?i)", "")
    assert found
    assert all(re.search(plain, text) for text in found), found

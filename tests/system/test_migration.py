"""Ingresses on the engine, converted or served: each group of annotations does what it did in ingress-nginx.

One gateway has a host for each case, as a cluster has: so they must not disturb each other either.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from system_backends import Backend, Received, response
from system_certificates import Authority
from system_clients import Http1, Http2, Response, tls_context
from system_gateway import Gateway
from system_manifests import Manifest, metadata, secret, service
from system_migration import converted, ingress, manifests

from sluicegate.controller.ingress import Name

Start = Callable[..., Gateway]
HTTP, HTTPS = 8080, 8443
OFFSET = 8000

#: htpasswd -nbB ann secret (cost 5).
USERS = "ann:$2b$05$F0lcgbMRpJUC2IPTzKfFxefZdYK/ci6R0Eya8RUHLxetJAH6T4a.."
CANARY = {"canary": "true"}
#: A certificate for each of these.
SECURE = ("tls.test", "both.test", "app.test", "client.test")


def ingresses() -> list[Manifest]:
    """All cases."""
    return [
        ingress("paths.test", ("/", "web"), ("/api", "api"), ("/app/", "other")),
        ingress("paths.test", ("/login", "next"), kind="Exact", name="exact"),
        ingress("tls.test", ("/", "web"), secret="tls.test"),
        ingress("both.test", ("/", "web"), secret="both.test", ssl_redirect="false"),
        ingress(
            "regex.test",
            ("/v[0-9]+", "api"),
            ("/v[0-9]+/users", "next"),
            kind="ImplementationSpecific",
            use_regex="true",
        ),
        ingress("regex.test", ("/exact", "other"), kind="Exact", name="regex-other"),
        ingress(
            "strip.test",
            ("/api(/|$)(.*)", "api"),
            ("/()(.*)", "web"),
            kind="ImplementationSpecific",
            rewrite_target="/$2",
        ),
        ingress(
            "capture.test",
            ("/v([0-9]+)/(.*)", "api"),
            kind="ImplementationSpecific",
            rewrite_target="/$2/version/$1",
            x_forwarded_prefix="/v",
        ),
        ingress("constant.test", ("/metrics/.*", "web"), kind="ImplementationSpecific", rewrite_target="/all"),
        ingress("moved.test", ("/", "web"), permanent_redirect="https://new.test", permanent_redirect_code="308"),
        ingress("kept.test", ("/", "web"), temporal_redirect="https://new.test$request_uri"),
        ingress("app.test", ("/", "web"), secret="app.test", app_root="/app", allowlist_source_range="192.0.2.0/24"),
        ingress("site.test", ("/", "web"), from_to_www_redirect="true"),
        ingress("alias.test", ("/", "web"), server_alias="other.alias.test"),
        ingress("host.test", ("/", "web"), upstream_vhost="internal.test", custom_headers="default/fields"),
        ingress(
            "cors.test",
            ("/", "web"),
            enable_cors="true",
            cors_allow_origin="https://*.a.test",
            cors_expose_headers="X-C",
        ),
        # A canary is of a Service, whatever the host: each has one of its own.
        ingress("canary.test", ("/", "home")),
        ingress(
            "canary.test",
            ("/", "next"),
            name="canary-next",
            canary_by_header="X-Canary",
            canary_by_cookie="canary",
            **CANARY,
        ),
        ingress("value.test", ("/", "region")),
        ingress(
            "value.test",
            ("/", "region-next"),
            name="value-next",
            canary_by_header="X-Region",
            canary_by_header_pattern="^(eu|us)-",
            **CANARY,
        ),
        ingress("weight.test", ("/", "share")),
        ingress("weight.test", ("/", "share-next"), name="weight-next", canary_weight="30", **CANARY),
        ingress("allow.test", ("/", "web"), allowlist_source_range="127.0.0.0/8"),
        ingress("others.test", ("/", "web"), allowlist_source_range="192.0.2.0/24"),
        ingress("deny.test", ("/", "web"), denylist_source_range="127.0.0.0/8"),
        ingress("closed.test", ("/", "web"), allowlist_source_range="nonsense"),
        ingress("basic.test", ("/", "web"), auth_type="basic", auth_secret="users", auth_realm="Staff"),
        ingress(
            "any.test",
            ("/", "web"),
            auth_type="basic",
            auth_secret="users",
            satisfy="any",
            allowlist_source_range="127.0.0.0/8",
        ),
        ingress(
            "external.test",
            ("/", "web"),
            auth_url="http://auth.default.svc.cluster.local/check",
            auth_response_headers="X-User",
            auth_signin="https://login.test/start?rd=$escaped_request_uri",
        ),
        ingress("own.test", ("/", "web"), ("/check", "auth"), auth_url="http://$host/check", name="own"),
        ingress("digest.test", ("/", "web"), auth_type="digest", auth_secret="users"),
        ingress(
            "client.test",
            ("/", "web"),
            secret="client.test",
            auth_tls_secret="default/clients",
            auth_tls_match_cn="^CN=app$|^app[.]client[.]test$",
            auth_tls_pass_certificate_to_upstream="true",
        ),
        ingress("client.test", ("/other", "other"), name="client-other"),
        ingress("limit.test", ("/", "web"), limit_rpm="1", limit_burst_multiplier="2"),
        ingress("body.test", ("/", "web"), proxy_body_size="10"),
        ingress("large.test", ("/", "web"), proxy_body_size="0"),
        ingress("whole.test", ("/", "web"), proxy_body_size="2m", proxy_request_buffering="on"),
        ingress("slow.test", ("/", "slow"), proxy_read_timeout="1"),
        ingress("retry.test", ("/", "failing"), proxy_next_upstream="http_503", proxy_next_upstream_tries="2"),
        ingress(
            "session.test", ("/", "pair"), affinity="cookie", session_cookie_name="route", session_cookie_max_age="60"
        ),
        ingress("hash.test", ("/", "hashed"), upstream_hash_by="$http_x_user"),
        ingress("ewma.test", ("/", "other"), load_balance="ewma"),
        ingress("mirror.test", ("/", "web"), mirror_target="http://copies.default.svc.cluster.local$request_uri"),
        ingress("errors.test", ("/", "missing"), custom_http_errors="404", default_backend="pages"),
        ingress(
            "answers.test",
            ("/", "moving"),
            proxy_redirect_from="http://app.internal/",
            proxy_redirect_to="https://answers.test/",
            proxy_cookie_domain="app.internal answers.test",
            proxy_cookie_path="/app/ /",
        ),
        ingress("quiet.test", ("/", "web"), enable_access_log="false"),
        ingress("*.wild.test", ("/", "web"), name="wild"),
        ingress("one.wild.test", ("/api", "api"), name="wild-one"),
    ]


def authoriser(request: Received) -> bytes:
    """Lets in who has a cookie."""
    if "session=good" in (request.header("cookie") or ""):
        return response(headers=(("x-user", "ann"),))
    return response(status="401 Unauthorized")


def failing() -> Callable[[Received], bytes]:
    """Answers 503, and 200 to every other request."""
    asked: Counter[str] = Counter()

    def answer(request: Received) -> bytes:
        asked[request.target] += 1
        return response(b"there") if asked[request.target] % 2 == 0 else response(status="503 Service Unavailable")

    return answer


@pytest.fixture(scope="module")
def backends(backend: Callable[..., Backend]) -> dict[str, Backend]:
    """The Services that have one endpoint."""
    moving = response(
        status="302 Found",
        headers=(("location", "http://app.internal/next"), ("set-cookie", "a=1; Domain=app.internal; Path=/app/x")),
    )
    answers: dict[str, Any] = {
        **{name: name for name in ("web", "api", "next", "other", "copies")},
        **{name: name for name in ("home", "region", "region-next", "share", "share-next")},
        "auth": authoriser,
        "failing": failing(),
        "missing": lambda _: response(b"no", status="404 Not Found"),
        "pages": lambda request: response(f"page for {request.header('x-code')}".encode()),
        "moving": lambda _: moving,
        # It reads the request and says nothing for longer than the gateway waits.
        "slow": lambda request: None if request.target == "/closed" else silent(),
    }
    return {name: backend(answer) for name, answer in answers.items()}


def silent() -> bytes:
    """What is no whole head: the backend stays open, and silent."""
    return b"HTTP/1.1 "


@pytest.fixture(scope="module", params=["converted", "served"])
def running(
    request: pytest.FixtureRequest,
    start: Start,
    backend: Callable[..., Backend],
    backends: dict[str, Backend],
    authority: Authority,
) -> Gateway:
    certificates = []
    for name in SECURE:
        pair = authority.sign(name)
        certificates.append(secret(name, pair.certificate, pair.key))
    users = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata("users"), "stringData": {"auth": USERS}}
    fields = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata("fields"),
        "data": {"X-Frame-Options": "DENY"},
    }
    settings = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata("controller"),
        "data": {"global-allowed-response-headers": "X-Frame-Options"},
    }
    clients = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata("clients"),
        "stringData": {"ca.crt": authority.pem.decode()},
    }
    services = [item for name, each in backends.items() for item in service(name, each.address)]
    for name in ("pair", "hashed"):
        services += service(name, backend(f"{name}-1").address, backend(f"{name}-2").address)
    used = (*services, users, fields, settings, clients, *certificates)
    options = ("--port-offset", str(OFFSET))
    if request.param == "served":
        options += ("--ingress", "--ingress-config-map", "default/controller")
        return start(*ingresses(), *used, arguments=options)
    found = converted(*ingresses(), *used, config_map=Name("default", "controller"))
    return start(*manifests(found), *services, users, *certificates, arguments=options)


@pytest.fixture
def ask(running: Gateway, client: type[Http1] | type[Http2]) -> Callable[..., Response]:
    """Ask the gateway over plain HTTP, by each version."""

    def one(
        host: str, target: str = "/", *fields: tuple[str, str], method: str = "GET", body: bytes | None = None
    ) -> Response:
        connection = client(running.address, HTTP)
        try:
            return connection.request(method, host, target, fields, body)
        finally:
            connection.close()

    return one


@pytest.fixture
def ask_tls(running: Gateway, authority: Authority) -> Callable[..., Response]:
    """Ask the gateway over TLS."""

    def one(host: str, target: str = "/") -> Response:
        connection = Http1(running.address, HTTPS, tls_context(authority.pem), host)
        try:
            return connection.request("GET", host, target)
        finally:
            connection.close()

    return one


Ask = Callable[..., Response]


@pytest.mark.parametrize(
    ("host", "target", "name", "path"),
    [
        ("paths.test", "/x", "web", "/x"),
        ("paths.test", "/api/x", "api", "/api/x"),
        ("paths.test", "/apix", "web", "/apix"),
        ("paths.test", "/login", "next", "/login"),
        ("paths.test", "/login/x", "web", "/login/x"),
        ("paths.test", "/app/x", "other", "/app/x"),
        ("regex.test", "/v1", "api", "/v1"),
        ("regex.test", "/V1x", "api", "/V1x"),
        ("regex.test", "/v22/USERS/7", "next", "/v22/USERS/7"),
        ("regex.test", "/exactly", "other", "/exactly"),
        ("strip.test", "/api", "api", "/"),
        ("strip.test", "/api/users/7?q=1", "api", "/users/7?q=1"),
        ("strip.test", "/apix", "web", "/apix"),
        ("capture.test", "/v7/a/b?q=1", "api", "/a/b/version/7?q=1"),
        ("constant.test", "/metrics/a?q=1", "web", "/all?q=1"),
        ("other.alias.test", "/", "web", "/"),
        ("two.wild.test", "/x", "web", "/x"),
        ("one.wild.test", "/api", "api", "/api"),
    ],
)
def test_hosts_and_paths(ask: Ask, host: str, target: str, name: str, path: str) -> None:
    found = ask(host, target)
    assert (found.status, found.echo["backend"], found.echo["target"]) == (200, name, path)


@pytest.mark.parametrize(
    ("host", "target", "status"),
    [
        ("regex.test", "/", 404),
        ("one.wild.test", "/x", 404),  # an exact host does not fall through to the wildcard
        ("nowhere.test", "/", 404),
        ("capture.test", "/vx/a", 404),
        ("closed.test", "/", 500),
        ("digest.test", "/", 500),
    ],
)
def test_what_is_not_served(ask: Ask, host: str, target: str, status: int) -> None:
    assert ask(host, target).status == status


@pytest.mark.parametrize(
    ("host", "target", "status", "location"),
    [
        ("tls.test", "/a/b?q=1", 308, "https://tls.test:8443/a/b?q=1"),
        ("app.test", "/", 302, "http://app.test:8080/app"),
        ("app.test", "/x", 308, "https://app.test:8443/x"),
        ("paths.test", "/app", 301, "http://paths.test:8080/app/"),
        ("moved.test", "/a", 308, "https://new.test:8443/"),
        ("kept.test", "/a?q=1", 302, "https://new.test:8443/a?q=1"),
        ("www.site.test", "/a?q=1", 308, "http://site.test:8080/a?q=1"),
    ],
)
def test_redirects(ask: Ask, host: str, target: str, status: int, location: str) -> None:
    """With an offset of ports, which stands in redirects to listeners."""
    found = ask(host, target)
    assert (found.status, found.header("location")) == (status, location)


def test_tls(ask_tls: Ask, ask: Ask) -> None:
    found = ask_tls("tls.test", "/a")
    assert (found.status, found.echo["backend"]) == (200, "web")
    assert found.header("strict-transport-security") == "max-age=31536000; includeSubDomains"
    assert ask_tls("both.test").header("strict-transport-security") is not None
    plain = ask("both.test")
    assert (plain.status, plain.header("strict-transport-security")) == (200, None)
    # A redirect comes before the list of addresses, all else behind it.
    assert (ask_tls("app.test", "/").status, ask_tls("app.test", "/x").status) == (302, 403)


def test_certificates_of_clients(running: Gateway, authority: Authority, ask_tls: Ask, tmp_path: Path) -> None:
    """For the whole host; other hosts of the port do not ask for any."""

    def shown(name: str, target: str = "/") -> Response:
        certificate = authority.sign(name, client=True).write(tmp_path, name)
        context = tls_context(authority.pem, certificate=certificate)
        connection = Http1(running.address, HTTPS, context, "client.test")
        try:
            return connection.request("GET", "client.test", target)
        finally:
            connection.close()

    assert ask_tls("client.test").status == 401
    assert ask_tls("client.test", "/other").status == 401
    assert ask_tls("tls.test").status == 200
    found = shown("app.client.test")
    assert (found.status, found.echo["backend"]) == (200, "web")
    assert "Subject=" in (found.sent("x-forwarded-client-cert") or "")
    assert shown("app.client.test", "/other").echo["backend"] == "other"
    assert shown("eve.client.test").status == 403


def test_fields(ask: Ask) -> None:
    found = ask("host.test", "/", ("x_odd", "1"))
    assert (found.sent("host"), found.header("x-frame-options"), found.sent("x_odd")) == ("internal.test", "DENY", None)
    assert ask("capture.test", "/v1/a").sent("x-forwarded-prefix") == "/v"


def test_cors(ask: Ask) -> None:
    asked = (("origin", "https://x.a.test"), ("access-control-request-method", "PUT"))
    preflight = ask("cors.test", "/", *asked, method="OPTIONS")
    assert (preflight.status, preflight.header("access-control-allow-origin")) == (204, "https://x.a.test")
    assert preflight.header("access-control-allow-methods") == "GET, PUT, POST, DELETE, PATCH, OPTIONS"
    assert preflight.header("access-control-allow-credentials") == "true"
    assert preflight.header("access-control-max-age") == "1728000"
    assert "X-Requested-With" in (preflight.header("access-control-allow-headers") or "")
    found = ask("cors.test", "/", asked[0])
    assert (found.status, found.header("access-control-expose-headers")) == (200, "X-C")
    assert ask("cors.test", "/", ("origin", "https://b.test")).header("access-control-allow-origin") is None


@pytest.mark.parametrize(
    ("host", "fields", "name"),
    [
        ("canary.test", (), "home"),
        ("canary.test", (("x-canary", "always"),), "next"),
        ("canary.test", (("cookie", "a=1; canary=always"),), "next"),
        ("canary.test", (("cookie", "canary=never"),), "home"),
        ("canary.test", (("cookie", "xcanary=always"),), "home"),
        ("canary.test", (("x-canary", "never"), ("cookie", "canary=always")), "home"),
        ("canary.test", (("x-canary", "other"), ("cookie", "canary=always")), "next"),
        ("value.test", (("x-region", "eu-1"),), "region-next"),
        ("value.test", (("x-region", "de-eu-1"),), "region"),
    ],
)
def test_canaries(ask: Ask, host: str, fields: tuple[tuple[str, str], ...], name: str) -> None:
    assert ask(host, "/", *fields).echo["backend"] == name


def test_weights(running: Gateway) -> None:
    connection = Http1(running.address, HTTP)
    try:
        found = Counter(connection.request("GET", "weight.test", "/").echo["backend"] for _ in range(400))
    finally:
        connection.close()
    assert found.keys() == {"share", "share-next"}
    assert 60 < found["share-next"] < 180  # 120 on average; ten standard deviations


@pytest.mark.parametrize(
    ("host", "status"), [("allow.test", 200), ("others.test", 403), ("deny.test", 403), ("any.test", 200)]
)
def test_addresses(ask: Ask, host: str, status: int) -> None:
    assert ask(host).status == status


def test_passwords(ask: Ask) -> None:
    found = ask("basic.test")
    assert (found.status, found.header("www-authenticate")) == (401, 'Basic realm="Staff", charset="UTF-8"')
    wrong = base64.b64encode(b"ann:wrong").decode()
    assert ask("basic.test", "/", ("authorization", f"Basic {wrong}")).status == 401
    right = base64.b64encode(b"ann:secret").decode()
    assert ask("basic.test", "/", ("authorization", f"Basic {right}")).status == 200


def test_a_service_that_is_asked(ask: Ask) -> None:
    assert ask("external.test").status == 401
    page = ask("external.test", "/a?b=1", ("accept", "text/html"), ("sec-fetch-mode", "navigate"))
    assert page.status == 302
    # `$escaped_request_uri` is path and query, as nginx has it.
    assert page.header("location") == "https://login.test/start?rd=%2Fa%3Fb%3D1"
    found = ask("external.test", "/", ("cookie", "session=good"), ("x-user", "eve"))
    assert (found.status, found.sent("x-user")) == (200, "ann")
    assert ask("own.test").status == 401
    assert ask("own.test", "/", ("cookie", "session=good")).status == 200


def test_limits(running: Gateway) -> None:
    """One each minute, and a burst of two times one beside the first."""
    connection = Http1(running.address, HTTP)
    try:
        assert [connection.request("GET", "limit.test", "/").status for _ in range(4)] == [200, 200, 200, 503]
    finally:
        connection.close()


def test_bodies(ask: Ask) -> None:
    assert ask("body.test", "/", method="POST", body=b"x" * 10).status == 200
    assert ask("body.test", "/", method="POST", body=b"x" * 11).status == 413
    large = b"x" * (1 << 20)
    assert ask("paths.test", "/", method="POST", body=large).status == 200
    assert ask("paths.test", "/", method="POST", body=large + b"x").status == 413
    assert ask("large.test", "/", method="POST", body=large + b"x").status == 200
    assert ask("whole.test", "/", method="POST", body=large).sent("content-length") == str(len(large))


def test_silence_retries_and_choice(ask: Ask) -> None:
    assert ask("slow.test", "/silent").status == 504
    assert ask("retry.test", "/again").status == 200
    # One user is one endpoint.
    for user in ("ann", "bob", "eve"):
        assert len({ask("hash.test", "/", ("x-user", user)).echo["backend"] for _ in range(4)}) == 1
    assert ask("ewma.test").echo["backend"] == "other"


def test_sessions(ask: Ask) -> None:
    first = ask("session.test")
    cookie = first.header("set-cookie") or ""
    assert cookie.startswith("route=")
    assert "Max-Age=" in cookie
    value = cookie.partition(";")[0]
    assert {ask("session.test", "/", ("cookie", value)).echo["backend"] for _ in range(6)} == {first.echo["backend"]}


def test_copies(ask: Ask, backends: dict[str, Backend]) -> None:
    seen = len(backends["copies"].requests)
    assert ask("mirror.test", "/copied").status == 200
    assert backends["copies"].wait(seen + 1)[-1].target == "/copied"


def test_errors_and_answers(ask: Ask) -> None:
    found = ask("errors.test")
    assert (found.status, found.body) == (404, b"page for 404")
    found = ask("answers.test")
    assert found.header("location") == "https://answers.test/next"
    assert found.header("set-cookie") == "a=1; Domain=answers.test; Path=/x"


def test_what_is_told_is_all_that_differs(running: Gateway) -> None:
    """What is answered 500 is told, and so is nothing else."""
    told = converted(*ingresses()).fates
    assert {item.fate for item in told if item.subject.endswith("digest")} <= {"no-equivalent"}
    closed = {item.object for item in told if "answer 500" in item.message or "answered 500" in item.message}
    assert {"Ingress/default/digest-test", "Ingress/default/closed-test"} <= closed
    assert running.process.poll() is None

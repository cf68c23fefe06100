"""Converted Ingresses on the engine: cookies, ciphers, questions to a service, connections, snippets, agents."""

from __future__ import annotations

import re
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from system_backends import Backend, Received, response
from system_certificates import Authority
from system_clients import Http1, Http2, Response, tls_context
from system_gateway import Gateway
from system_manifests import Manifest, metadata, secret, service
from system_migration import converted, ingress, manifests

from sluicegate.controller.ingress import Name

Start = Callable[..., Gateway]
Ask = Callable[..., Response]
HTTP, HTTPS = 8080, 8443
OFFSET = 8000
#: A certificate for each of these.
SECURE = ("cookie.test", "cipher.test", "page.test")
FIELDS = """
more_set_headers "X-Frame-Options: DENY" "X-Host: $host";
more_clear_headers X-Back;
add_header X-More 1 always;
proxy_set_header X-Tenant shop;
proxy_set_header X-Agent "from $http_user_agent";
proxy_set_header X-Gone "";
"""
REFUSALS = """
if ($http_user_agent ~* "(curl|wget)") { return 403; }
if ($request_method !~ ^(GET|HEAD)$) { return 405; }
if ($http_x_key != "it's") { return 401 "no key"; }
"""
PATHS = """
location /metrics { deny all; }
location = /status { return 403; }
location ~* [.](bak|sql)$ { deny all; }
"""


def config_map(name: str, **data: str) -> Manifest:
    named = {key.replace("_", "-"): value for key, value in data.items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": named}


def ingresses() -> list[Manifest]:
    """All cases."""
    secure = {"backend_protocol": "HTTPS", "proxy_ssl_name": "known.internal", "proxy_ssl_secret": "default/ca"}
    return [
        ingress(
            "cookie.test",
            ("/", "web"),
            secret="cookie.test",
            ssl_redirect="false",
            affinity="cookie",
            affinity_mode="persistent",
            session_cookie_domain=".cookie.test",
            session_cookie_samesite="None",
            session_cookie_secure="true",
        ),
        ingress("plain.test", ("/", "api"), affinity="cookie"),
        ingress("cipher.test", ("/", "web"), secret="cipher.test", ssl_ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"),
        ingress("older.test", ("/", "older"), proxy_ssl_protocols="TLSv1.2", proxy_ssl_server_name="on", **secure),
        ingress("newer.test", ("/", "newer"), proxy_ssl_protocols="TLSv1.3", proxy_ssl_ciphers="HIGH:!aNULL", **secure),
        ingress(
            "asked.test",
            ("/", "web"),
            auth_url="http://auth.default.svc.cluster.local/check",
            auth_method="POST",
            auth_proxy_set_headers="default/told",
            auth_request_redirect="https://$host/back",
            auth_snippet="proxy_set_header X-Team shop;",
            auth_keepalive="10",
            auth_keepalive_requests="1",
            auth_keepalive_timeout="30",
        ),
        ingress("usual.test", ("/", "web"), auth_url="http://other-auth.default.svc.cluster.local/check"),
        ingress("fresh.test", ("/", "fresh"), connection_proxy_header="close"),
        ingress("kept.test", ("/", "kept"), connection_proxy_header="keep-alive"),
        ingress(
            "page.test",
            ("/", "web"),
            secret="page.test",
            auth_tls_secret="default/ca",
            auth_tls_error_page="https://help.test/certificates?from=shop&x=1",
        ),
        ingress("fields.test", ("/", "web"), configuration_snippet=FIELDS),
        ingress("refused.test", ("/", "web"), configuration_snippet=REFUSALS, server_snippet=PATHS),
        ingress("inside.test", ("/", "web"), configuration_snippet="allow 127.0.0.0/8; deny all;"),
        ingress("outside.test", ("/", "web"), configuration_snippet="allow 192.0.2.0/24; deny all;"),
        ingress(
            "answer.test", ("/", "web"), configuration_snippet="default_type application/json; return 200 '{\"a\":1}';"
        ),
        ingress("gone.test", ("/", "web"), server_snippet="return 301 https://new.test$request_uri;"),
        ingress("edited.test", ("/", "web"), configuration_snippet="rewrite ^/old/(.*)$ /new/$1 break;"),
        ingress("unread.test", ("/", "web"), configuration_snippet="set $bad 1; if ($bad) { return 403; }"),
        ingress("trace.test", ("/", "web"), enable_opentelemetry="true", opentelemetry_trust_incoming_span="false"),
        ingress("traced.test", ("/", "web")),
        ingress(
            "again.test",
            ("/", "failing"),
            proxy_next_upstream="error http_503 non_idempotent",
            proxy_next_upstream_tries="2",
        ),
        ingress("many.test", ("/", "web"), custom_headers="default/many"),
        ingress(
            "mirror.test",
            ("/", "web"),
            mirror_target="http://copies.default.svc.cluster.local$request_uri",
            mirror_host="copy.internal",
            mirror_request_body="off",
        ),
        ingress(
            "subset.test",
            ("/", "four"),
            upstream_hash_by="$http_x_user",
            upstream_hash_by_subset="true",
            upstream_hash_by_subset_size="2",
        ),
        ingress(
            "late.test",
            ("/", "late"),
            proxy_next_upstream="http_503",
            proxy_next_upstream_tries="5",
            proxy_next_upstream_timeout="1",
        ),
    ]


def authoriser(request: Received) -> bytes:
    """Lets in who has a cookie."""
    good = "session=good" in (request.header("cookie") or "")
    return response(status="200 OK" if good else "401 Unauthorized")


def late(_: Received) -> bytes:
    """Answers 503, and takes more than half of the second that tries may take."""
    threading.Event().wait(0.6)
    return response(status="503 Service Unavailable")


def failing() -> Callable[[Received], bytes]:
    """Answers 503, and 200 to every other request."""
    asked: Counter[str] = Counter()

    def answer(request: Received) -> bytes:
        asked[request.target] += 1
        return response(b"there") if asked[request.target] % 2 == 0 else response(status="503 Service Unavailable")

    return answer


def server(pair: tuple[str, str], version: ssl.TLSVersion) -> ssl.SSLContext:
    """What a backend presents; it speaks one version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pair)
    context.minimum_version = context.maximum_version = version
    return context


#: Names that backends were asked for.
NAMES: list[str | None] = []


@pytest.fixture(scope="module")
def backends(
    backend: Callable[..., Backend], authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Backend]:
    """The Services that have one endpoint."""
    known = authority.sign("known.internal").write(tmp_path_factory.mktemp("certificates"), "known")
    older, newer = server(known, ssl.TLSVersion.TLSv1_2), server(known, ssl.TLSVersion.TLSv1_2)
    older.sni_callback = lambda _socket, name, _context: NAMES.append(name)
    return {
        **{name: backend(name) for name in ("web", "api", "fresh", "kept", "copies")},
        "late": backend(late),
        "auth": backend(authoriser),
        "other-auth": backend(authoriser),
        "failing": backend(failing()),
        "older": backend("older", tls=older),
        "newer": backend("newer", tls=newer),
    }


@pytest.fixture(scope="module")
def running(
    start: Start, backend: Callable[..., Backend], backends: dict[str, Backend], authority: Authority
) -> Gateway:
    certificates = []
    for name in SECURE:
        pair = authority.sign(name)
        certificates.append(secret(name, pair.certificate, pair.key))
    ca = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata("ca"),
        "stringData": {"ca.crt": authority.pem.decode()},
    }
    many = {f"X-Many-{number}": str(number) for number in range(40)}
    settings = {
        "allow-snippet-annotations": "true",
        "annotations-risk-level": "Critical",
        "global-allowed-response-headers": ",".join(many),
        "block-user-agents": "BadBot/1.0, ~*evil",
        "block-referers": "~*spam[.]example",
    }
    used = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("controller"), "data": settings},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("many"), "data": many},
        config_map("told", X_Sent_From="gateway", X_Asked_By="$http_user_agent"),
        ca,
    ]
    services = [item for name, each in backends.items() for item in service(name, each.address)]
    services += service("four", *(backend(f"four-{number}").address for number in range(4)))
    found = converted(*ingresses(), *services, *used, *certificates, config_map=Name("default", "controller"))
    return start(*manifests(found), *services, *certificates, arguments=("--port-offset", str(OFFSET)))


@pytest.fixture
def ask(running: Gateway, client: type[Http1] | type[Http2]) -> Ask:
    """Ask the gateway over plain HTTP, by each version."""

    def one(host: str, target: str = "/", *fields: tuple[str, str], method: str = "GET") -> Response:
        connection = client(running.address, HTTP)
        try:
            return connection.request(method, host, target, fields, b"x" if method == "POST" else None)
        finally:
            connection.close()

    return one


def attributes(answer: Response) -> set[str]:
    """Attributes of the cookie that an answer sets."""
    return {part.strip() for part in (answer.header("set-cookie") or "").split(";")[1:]}


def test_cookies(ask: Ask) -> None:
    found = ask("cookie.test")
    assert attributes(found) >= {"Domain=cookie.test", "SameSite=None", "Secure", "HttpOnly"}
    cookie = (found.header("set-cookie") or "").partition(";")[0]
    assert ask("cookie.test", "/", ("cookie", cookie)).header("set-cookie") is None
    # Without attributes nothing is said of other sites, as there.
    assert attributes(ask("plain.test")) == {"HttpOnly", "Path=/"}


def test_ciphers(running: Gateway, authority: Authority) -> None:
    def connects(suites: str) -> str:
        context = tls_context(authority.pem)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suites)
        connection = Http1(running.address, HTTPS, context, "cipher.test")
        try:
            return str(connection.request("GET", "cipher.test", "/").status)
        finally:
            connection.close()

    assert connects("ECDHE-ECDSA-AES128-GCM-SHA256") == "200"
    for other in ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA"):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            connects(other)


def test_versions_towards_backends(ask: Ask) -> None:
    """Both backends speak TLS 1.2 alone."""
    assert ask("older.test").echo["backend"] == "older"
    assert set(NAMES) == {"known.internal"}
    assert ask("newer.test").status == 503


def test_what_a_service_is_asked(ask: Ask, backends: dict[str, Backend]) -> None:
    seen = len(backends["auth"].requests)
    session = (("cookie", "session=good"), ("user-agent", "tester"), ("x-team", "mine"))
    assert ask("asked.test", "/a?b=1", *session, method="PUT").status == 200
    question = backends["auth"].wait(seen + 1)[-1]
    assert (question.method, question.target) == ("POST", "/check")
    assert question.header("host") == "auth.default.svc.cluster.local"
    told = {"x-sent-from": "gateway", "x-asked-by": "tester", "x-team": "shop", "x-original-method": "PUT"}
    told["x-original-url"] = "http://asked.test/a?b=1"
    told["x-auth-request-redirect"] = "https://asked.test/back"
    assert {name: question.header(name) for name in told} == told
    assert ask("asked.test").status == 401


def test_the_usual_question(ask: Ask, backends: dict[str, Backend]) -> None:
    seen = len(backends["other-auth"].requests)
    assert ask("usual.test", "/a", ("cookie", "session=good"), method="POST").status == 200
    question = backends["other-auth"].wait(seen + 1)[-1]
    assert (question.method, question.header("x-original-method")) == ("GET", "POST")
    assert question.header("x-auth-request-redirect") == "/a"


def test_connections(running: Gateway, backends: dict[str, Backend]) -> None:
    connection = Http1(running.address, HTTP)
    try:
        for host in ("fresh.test", "kept.test"):
            for _ in range(5):
                assert connection.request("GET", host, "/").status == 200
        for _ in range(3):
            assert connection.request("GET", "asked.test", "/", (("cookie", "session=good"),)).status == 200
    finally:
        connection.close()
    fresh, kept, auth = (backends[name] for name in ("fresh", "kept", "auth"))
    assert fresh.connections == len(fresh.requests) == 5
    assert kept.connections < len(kept.requests)
    assert auth.connections == len(auth.requests) >= 3


def test_a_page_for_who_has_no_certificate(running: Gateway, authority: Authority, tmp_path: Path) -> None:
    def asked(**options: tuple[str, str]) -> Response:
        connection = Http1(running.address, HTTPS, tls_context(authority.pem, **options), "page.test")
        try:
            return connection.request("GET", "page.test", "/")
        finally:
            connection.close()

    found = asked()
    assert (found.status, found.header("content-type")) == (401, "text/html; charset=utf-8")
    assert b'content="0; url=https://help.test/certificates?from=shop&amp;x=1"' in found.body
    assert asked(certificate=authority.sign("ann", client=True).write(tmp_path, "ann")).status == 200


def test_fields_of_snippets(ask: Ask) -> None:
    found = ask("fields.test", "/", ("user-agent", "tester"), ("x-gone", "1"), ("x-tenant", "mine"))
    assert found.status == 200
    answers = {"x-frame-options": "DENY", "x-host": "fields.test", "x-more": "1", "x-back": None}
    assert {name: found.header(name) for name in answers} == answers
    told = {"x-tenant": "shop", "x-agent": "from tester", "x-gone": None}
    assert {name: found.sent(name) for name in told} == told


@pytest.mark.parametrize(
    ("target", "method", "fields", "status"),
    [
        ("/", "GET", (("x-key", "it's"),), 200),
        ("/", "GET", (), 403),
        ("/", "GET", (("x-key", "other"),), 403),
        ("/", "GET", (("x-key", "it's"), ("user-agent", "CURL/8")), 403),
        ("/", "POST", (("x-key", "it's"),), 403),
        ("/metrics/x", "GET", (("x-key", "it's"),), 403),
        ("/status", "GET", (("x-key", "it's"),), 403),
        ("/status/x", "GET", (("x-key", "it's"),), 200),
        ("/dump.SQL", "GET", (("x-key", "it's"),), 403),
    ],
)
def test_refusals_of_snippets(
    ask: Ask, target: str, method: str, fields: tuple[tuple[str, str], ...], status: int
) -> None:
    assert ask("refused.test", target, *fields, method=method).status == status


@pytest.mark.parametrize(("host", "status"), [("inside.test", 200), ("outside.test", 403), ("unread.test", 500)])
def test_addresses_of_snippets(ask: Ask, host: str, status: int) -> None:
    assert ask(host).status == status


def test_answers_of_snippets(ask: Ask) -> None:
    found = ask("answer.test")
    assert (found.status, found.header("content-type"), found.body) == (200, "application/json", b'{"a":1}')
    found = ask("gone.test", "/a?b=1")
    assert (found.status, found.header("location")) == (301, "https://new.test:8443/a?b=1")
    assert ask("edited.test", "/old/a/b?c=1").echo["target"] == "/new/a/b?c=1"
    assert ask("edited.test", "/other").echo["target"] == "/other"


def test_traces(ask: Ask) -> None:
    trace = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    assert ask("trace.test", "/", trace, ("tracestate", "a=1")).sent("traceparent") is None
    assert ask("traced.test", "/", trace).sent("traceparent") == trace[1]


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("user-agent", "badbot/1.0", 403),
        ("user-agent", "badbot/1.0.1", 200),
        ("user-agent", "an Evil one", 403),
        ("referer", "https://spam.example/x", 403),
        ("referer", "https://good.example/", 200),
    ],
)
def test_blocked_agents(ask: Ask, field: str, value: str, status: int) -> None:
    assert ask("traced.test", "/", (field, value)).status == status


def test_what_changes_something_is_sent_again(ask: Ask) -> None:
    assert ask("again.test", "/again", method="POST").status == 200


def test_many_fields(ask: Ask) -> None:
    found = ask("many.test")
    names = [name for name, _ in found.headers if re.fullmatch("x-many-[0-9]+", name.lower())]
    assert len(names) == 40


def test_copies(ask: Ask, backends: dict[str, Backend]) -> None:
    copies = backends["copies"]
    seen = len(copies.requests)
    assert ask("mirror.test", "/copied", method="POST").echo["body"] == "x"
    copy = copies.wait(seen + 1)[-1]
    assert (copy.method, copy.target, copy.header("host"), copy.body) == ("POST", "/copied", "copy.internal", b"")


def test_subsets(ask: Ask) -> None:
    """A key has two endpoints of four, and both of them."""
    for user in ("ann", "bob"):
        assert len({ask("subset.test", "/", ("x-user", user)).echo["backend"] for _ in range(12)}) == 2


def test_time_for_tries(ask: Ask, backends: dict[str, Backend]) -> None:
    """The second try ends after the time; three more would be allowed."""
    before = len(backends["late"].requests)
    assert ask("late.test").status == 503
    assert len(backends["late"].requests) - before == 2

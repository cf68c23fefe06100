"""What annotations are seen to do: paths, hosts, redirects, canaries, fields, CORS, copies."""

from __future__ import annotations

from collections.abc import Callable

from system_annotation import Behind, Entry, Here, entry
from system_backends import response

Fields = tuple[tuple[str, str], ...]
PREFLIGHT: Fields = (("origin", "https://a.test"), ("access-control-request-method", "PUT"))


def status(target: str = "/", *fields: tuple[str, str], host: str = "", tls: bool = False) -> Callable[[Here], object]:
    """See the status."""
    return lambda here: here.get(target, *fields, host=host, tls=here.context() if tls else None).status


def leads(target: str = "/", host: str = "") -> Callable[[Here], object]:
    """See the status, and where it leads."""

    def ask(here: Here) -> object:
        found = here.get(target, host=host)
        return found.status, found.header("location")

    return ask


def who(target: str = "/", *fields: tuple[str, str], host: str = "") -> Callable[[Here], object]:
    """See which backend answers; a status where none does."""

    def ask(here: Here) -> object:
        found = here.get(target, *fields, host=host)
        return found.header("x-back") or found.status

    return ask


def told(name: str, target: str = "/", *fields: tuple[str, str]) -> Callable[[Here], object]:
    """See a field as the backend is given it."""
    return lambda here: here.get(target, *fields).sent(name)


def shown(name: str, target: str = "/", *fields: tuple[str, str], method: str = "GET") -> Callable[[Here], object]:
    """See a field of the answer."""
    return lambda here: here.get(target, *fields, method=method).header(name)


def target(asked: str) -> Callable[[Here], object]:
    """See the target as the backend is given it; a status where it gets none."""

    def ask(here: Here) -> object:
        found = here.get(asked)
        return found.echo["target"] if found.status == 200 else found.status

    return ask


def whose(*fields: tuple[str, str]) -> Callable[[Here], object]:
    """See which backends answer 40 requests."""
    return lambda here: sorted({item.header("x-back") for item in here.several(40, "/", *fields)})


def sides(here: Here) -> object:
    """See how many sides of a canary a client with a session has."""
    cookie = (here.get().header("set-cookie") or "").partition(";")[0]
    assert cookie
    return len({item.header("x-back") for item in here.several(40, "/", ("cookie", cookie))})


def copies(here: Here) -> object:
    """See which copies come of a request with a body."""
    assert here.get("/copied", method="POST", body=b"x").status == 200
    return [(item.target, item.header("host"), item.body) for item in here.backend("copies").came(1, here.limit())]


def part(index: int) -> Callable[[Here], object]:
    """See one part of the copy that there is in any case."""

    def ask(here: Here) -> object:
        assert here.get("/copied", method="POST", body=b"x").status == 200
        copy = here.backend("copies").wait(1)[0]
        return (copy.target, copy.header("host"), copy.body)[index]

    return ask


def origins(here: Here) -> object:
    """See which of two origins may read an answer."""
    asked = ("https://a.test", "https://b.example")
    return tuple(here.get("/", ("origin", item)).header("access-control-allow-origin") for item in asked)


def moving() -> Callable[[object], bytes]:
    fields = (("location", "http://app.internal/next"), ("set-cookie", "a=1; Domain=app.internal; Path=/app/x"))
    return lambda _: response(status="302 Found", headers=fields)


USUAL_HEADERS = (
    "DNT, Keep-Alive, User-Agent, X-Requested-With, If-Modified-Since, Cache-Control, Content-Type, Range, "
    "Authorization"
)
MOVING = {"web": Behind(answer=moving)}
CANARY = (("/", "next"),)
COPIES = {"copies": Behind()}
CORS = {"enable_cors": "true"}
ELSEWHERE = "https://new.test:8443/"
COPY = "http://@copies.default.svc.cluster.local$request_uri"
PLAIN: dict[str, str] = {}

ROUTES: list[Entry] = [
    entry("app-root", "/app", leads(), (302, "http://app-root.test:8080/app"), (200, None)),
    entry("permanent-redirect", "https://new.test", leads("/a"), (301, ELSEWHERE), (200, None)),
    entry(
        "permanent-redirect-code",
        "308",
        leads("/a"),
        (308, ELSEWHERE),
        (301, ELSEWHERE),
        permanent_redirect="https://new.test",
    ),
    entry("temporal-redirect", "https://new.test", leads("/a"), (302, ELSEWHERE), (200, None)),
    entry(
        "temporal-redirect-code",
        "307",
        leads("/a"),
        (307, ELSEWHERE),
        (302, ELSEWHERE),
        temporal_redirect="https://new.test",
    ),
    entry(
        "from-to-www-redirect",
        "true",
        leads("/a?b=1", host="www.from-to-www-redirect.test"),
        (308, "http://from-to-www-redirect.test:8080/a?b=1"),
        (404, None),
    ),
    entry("ssl-redirect", "false", leads("/a"), (200, None), (308, "https://ssl-redirect.test:8443/a"), tls=True),
    entry("force-ssl-redirect", "true", leads("/a"), (308, "https://force-ssl-redirect.test:8443/a"), (200, None)),
    entry(
        "relative-redirects",
        "true",
        leads("/app?a=b"),
        (301, "/app/?a=b"),
        (301, "http://relative-redirects.test:8080/app/?a=b"),
        paths=(("/app/", "web"),),
    ),
    entry(
        "proxy-redirect-from",
        "http://app.internal/",
        shown("location"),
        "https://shop.test/next",
        "http://app.internal/next",
        services=MOVING,
        proxy_redirect_to="https://shop.test/",
    ),
    entry(
        "proxy-redirect-to",
        "https://shop.test/",
        shown("location"),
        "https://shop.test/next",
        "http://app.internal/next",
        services=MOVING,
        proxy_redirect_from="http://app.internal/",
    ),
    entry(
        "proxy-cookie-domain",
        "app.internal %host",
        shown("set-cookie"),
        "a=1; Domain=proxy-cookie-domain.test; Path=/app/x",
        "a=1; Domain=app.internal; Path=/app/x",
        services=MOVING,
    ),
    entry(
        "proxy-cookie-path",
        "/app/ /",
        shown("set-cookie"),
        "a=1; Domain=app.internal; Path=/x",
        "a=1; Domain=app.internal; Path=/app/x",
        services=MOVING,
    ),
    entry(
        "rewrite-target",
        "/$2",
        target("/api/x?q=1"),
        "/x?q=1",
        "/api/x?q=1",
        paths=(("/api(/|$)(.*)", "web"),),
        kind="ImplementationSpecific",
        use_regex="true",
    ),
    entry(
        "rewrite-target",
        "/all",
        target("/metrics/x"),
        "/all",
        404,
        label="alone",
        paths=(("/metrics/.*", "web"),),
        kind="ImplementationSpecific",
    ),
    entry(
        "use-regex", "true", target("/V7x"), "/V7x", 404, paths=(("/v[0-9]+", "web"),), kind="ImplementationSpecific"
    ),
    entry("x-forwarded-prefix", "/v", told("x-forwarded-prefix"), "/v", None, rewrite_target="/"),
    entry("upstream-vhost", "internal.test", told("host"), "internal.test", "upstream-vhost.test"),
    entry("custom-headers", "default/fields", shown("x-frame-options"), "DENY", None),
    entry("server-alias", "other.alias.test", who(host="other.alias.test"), "web", 404),
    entry(
        "canary",
        "true",
        who("/", ("x-canary", "always")),
        "next",
        "web",
        paths=CANARY,
        main=PLAIN,
        canary_by_header="X-Canary",
    ),
    entry("canary-weight", "100", whose(), ["next"], ["web"], paths=CANARY, main=PLAIN, canary="true"),
    entry(
        "affinity-canary-behavior",
        "legacy",
        sides,
        2,
        1,
        paths=CANARY,
        main={"affinity": "cookie"},
        canary="true",
        canary_weight="50",
    ),
    entry(
        "canary-weight-total",
        "200",
        whose(),
        ["next", "web"],
        ["next"],
        paths=CANARY,
        main=PLAIN,
        canary="true",
        canary_weight="100",
    ),
    entry(
        "canary-by-header",
        "X-Canary",
        who("/", ("x-canary", "always")),
        "next",
        "web",
        paths=CANARY,
        main=PLAIN,
        canary="true",
    ),
    entry(
        "canary-by-header-value",
        "yes",
        who("/", ("x-canary", "yes")),
        "next",
        "web",
        paths=CANARY,
        main=PLAIN,
        canary="true",
        canary_by_header="X-Canary",
    ),
    entry(
        "canary-by-header-pattern",
        "^(eu|us)-",
        who("/", ("x-region", "eu-1")),
        "next",
        "web",
        paths=CANARY,
        main=PLAIN,
        canary="true",
        canary_by_header="X-Region",
    ),
    entry(
        "canary-by-cookie",
        "beta",
        who("/", ("cookie", "a=1; beta=always")),
        "next",
        "web",
        paths=CANARY,
        main=PLAIN,
        canary="true",
    ),
    entry("enable-cors", "true", origins, ("https://a.test", "https://b.example"), (None, None)),
    entry(
        "cors-allow-origin",
        "https://*.test",
        origins,
        ("https://a.test", None),
        ("https://a.test", "https://b.example"),
        **CORS,
    ),
    entry(
        "cors-allow-methods",
        "PUT",
        shown("access-control-allow-methods", "/", *PREFLIGHT, method="OPTIONS"),
        "PUT",
        "GET, PUT, POST, DELETE, PATCH, OPTIONS",
        **CORS,
    ),
    entry(
        "cors-allow-headers",
        "X-A,X-B",
        shown("access-control-allow-headers", "/", *PREFLIGHT, method="OPTIONS"),
        "X-A, X-B",
        USUAL_HEADERS,
        **CORS,
    ),
    entry("cors-expose-headers", "X-C", shown("access-control-expose-headers", "/", PREFLIGHT[0]), "X-C", None, **CORS),
    entry(
        "cors-allow-credentials",
        "false",
        shown("access-control-allow-credentials", "/", PREFLIGHT[0]),
        None,
        "true",
        **CORS,
    ),
    entry(
        "cors-max-age",
        "60",
        shown("access-control-max-age", "/", *PREFLIGHT, method="OPTIONS"),
        "60",
        "1728000",
        **CORS,
    ),
    entry(
        "mirror-target",
        COPY,
        copies,
        [("/copied", "mirror-target-copies.default.svc.cluster.local", b"x")],
        [],
        services=COPIES,
    ),
    entry(
        "mirror-host",
        "copy.internal",
        part(1),
        "copy.internal",
        "mirror-host-copies.default.svc.cluster.local",
        services=COPIES,
        mirror_target=COPY,
    ),
    entry("mirror-request-body", "off", part(2), b"", b"x", services=COPIES, mirror_target=COPY),
    entry("configuration-snippet", 'more_set_headers "X-Shop: one";', shown("x-shop"), "one", None),
    entry("server-snippet", "location /metrics { deny all; }", status("/metrics/x"), 403, 200),
    entry(
        "opentelemetry-trust-incoming-span",
        "false",
        told("traceparent", "/", ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")),
        None,
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        enable_opentelemetry="true",
    ),
]

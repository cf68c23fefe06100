"""What generated Ingresses are made of: paths, annotations that go together, settings of the controller."""

from __future__ import annotations

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
        ),
    ),
    # What is wrong, or has no equivalent: its paths answer nobody.
    (
        0.04,
        (
            {"allowlist-source-range": "10.0.0.0/8, nonsense"},
            {"auth-type": "digest", "auth-secret": "users"},
            {"auth-type": "basic"},
            {"auth-url": "https://$host/oauth2/auth"},
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
    (0.04, ({"backend-protocol": "HTTPS"}, {"backend-protocol": "HTTPS"}, {"backend-protocol": "FCGI"})),
    (0.05, ({"auth-tls-secret": "shop/ca"}, {"auth-tls-secret": "shop/ca", "auth-tls-verify-client": "optional"})),
    (0.03, ({"configuration-snippet": "more_set_headers 'X-A: b';"},)),
    (0.03, ({"ssl-passthrough": "true"},)),
    (0.03, ({"custom-headers": "in/answers"},)),
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

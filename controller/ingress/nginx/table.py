"""The annotations of ingress-nginx, all of them: what each means here. The documentation is made of this table.

Source of the names: `docs/user-guide/nginx-configuration/annotations-risk.md` of ingress-nginx 1.15.1.
"""

from __future__ import annotations

from ..losses import Fate
from ..provider import Annotation, Class

#: What an annotation does, by its first letter in the rows below.
_FATES: dict[str, Fate] = {
    "+": "converted",
    "~": "converted-with-difference",
    "o": "dropped-harmless",
    "-": "no-equivalent",
}

_SNIPPET = "write what it does as filters and policies: docs/migration.md names them by directive"
_WAF = "put a firewall in front, or ask one by AccessPolicy `external`"
_CERTIFICATE = (
    "write `tls.frontend` of the Gateway and `certificate` of an AccessPolicy; until then its hosts answer 500"
)

#: class, fate, name, group, words, advice; `|` parts a name from an older one.
_ROWS: tuple[tuple[Class, str, str, str, str, str], ...] = (
    ("X", "~", "affinity", "sessions", "`sessionPersistence`; cookies of ingress-nginx are not known here, so each session begins anew once", ""),
    ("P", "o", "affinity-mode", "", "a session stays with its endpoint for as long as that is there, as `persistent` does", ""),
    ("P", "~", "affinity-canary-behavior", "", "a backend is chosen by weight before a session is looked at, as `legacy` does", "keep weights at 0 or 100 where clients must not change sides"),
    ("X", "+", "session-cookie-name", "sessions", "`sessionPersistence.cookie.name`", ""),
    ("X", "+", "session-cookie-path", "sessions", "`sessionPersistence.cookie.path`", ""),
    ("X", "+", "session-cookie-expires", "sessions", "`absoluteTimeout` of a permanent cookie", ""),
    ("X", "+", "session-cookie-max-age", "sessions", "`absoluteTimeout` of a permanent cookie", ""),
    ("P", "-", "session-cookie-domain", "", "the cookie is its host's alone", "give the hosts one name, or keep sessions in the application"),
    ("P", "-", "session-cookie-samesite", "", "the cookie is always `SameSite=Strict`", "pages of other sites that embed this one begin a new session"),
    ("P", "o", "session-cookie-conditional-samesite-none", "", "it is for browsers of 2019", ""),
    ("P", "o", "session-cookie-secure", "", "the cookie is `Secure` wherever the client came by TLS", ""),
    ("P", "~", "session-cookie-change-on-failure", "", "a session whose endpoint fails goes on elsewhere and is told so, as `true` does", ""),
    ("P", "+", "allowlist-source-range|whitelist-source-range", "access", "AccessPolicy `authorization.rules[].clients`; others are told 403", ""),
    ("P", "+", "denylist-source-range", "access", "AccessPolicy `authorization.rules[]` with the action `Deny`", ""),
    ("P", "+", "satisfy", "access", "`any`: AccessPolicy `exempt.clients`", ""),
    ("S", "~", "app-root", "redirects", "a rule for `/` alone with a `RequestRedirect`; the query of the request goes along", ""),
    ("S", "~", "permanent-redirect", "redirects", "`RequestRedirect`; the query of the request goes along", ""),
    ("S", "+", "permanent-redirect-code", "redirects", "`RequestRedirect.statusCode`", ""),
    ("S", "~", "temporal-redirect", "redirects", "`RequestRedirect`, in place of `permanent-redirect`; the query of the request goes along", ""),
    ("S", "+", "temporal-redirect-code", "redirects", "`RequestRedirect.statusCode`", ""),
    ("S", "+", "from-to-www-redirect", "redirects", "listeners and a route for the other host with a `RequestRedirect`", ""),
    ("S", "+", "ssl-redirect", "redirects", "a route at the listener of port 80 with a `RequestRedirect` to https", ""),
    ("S", "+", "force-ssl-redirect", "redirects", "the same, whether or not the host has a certificate", ""),
    ("S", "+", "preserve-trailing-slash", "redirects", "a redirect keeps the path as it is", ""),
    ("S", "~", "use-port-in-redirects", "", "ports other than 80 and 443 are always named", ""),
    ("P", "~", "relative-redirects", "", "redirects of the gateway name scheme and host", "clients take both forms; those of backends: HTTPFilter `rewrite.response.location`"),
    ("P", "+", "proxy-redirect-from", "responses", "HTTPFilter `rewrite.response.location[].prefix`", ""),
    ("P", "+", "proxy-redirect-to", "responses", "HTTPFilter `rewrite.response.location[].replacement`", ""),
    ("P", "+", "proxy-cookie-domain", "responses", "HTTPFilter `rewrite.response.cookies[].domain`", ""),
    ("P", "+", "proxy-cookie-path", "responses", "HTTPFilter `rewrite.response.cookies[].path`", ""),
    ("S", "+", "rewrite-target", "rewrite", "`URLRewrite`; with other groups than the rest of the path, HTTPFilter `rewrite.pathRegex`", ""),
    ("S", "+", "use-regex", "rewrite", "`RegularExpression` for every path of the host, in any case and open at its end", ""),
    ("S", "+", "x-forwarded-prefix", "rewrite", "`RequestHeaderModifier`, where there is a rewrite", ""),
    ("S", "+", "upstream-vhost", "headers", "`URLRewrite.hostname`", ""),
    ("S", "+", "custom-headers", "headers", "`ResponseHeaderModifier` with the fields of the ConfigMap", ""),
    ("D", "o", "connection-proxy-header", "", "the gateway keeps connections by itself; a WebSocket needs nothing", ""),
    ("S", "+", "server-alias", "hosts", "more listeners, and `hostnames` of the routes", ""),
    ("S", "+", "backend-protocol", "protocol", "GRPC: a GRPCRoute; HTTPS: a BackendTLSPolicy", ""),
    ("P", "~", "service-upstream", "", "endpoints are always used: health, sessions and balancing need them", "the sidecars of a mesh are at the endpoints too"),
    ("P", "+", "load-balance", "balancing", "BackendPolicy `loadBalancing.type`", ""),
    ("P", "+", "upstream-hash-by", "balancing", "BackendPolicy `loadBalancing.hash.key`", ""),
    ("P", "-", "upstream-hash-by-subset", "", "no balancing within a subset", "the key goes to one endpoint"),
    ("P", "-", "upstream-hash-by-subset-size", "", "no balancing within a subset", "the key goes to one endpoint"),
    ("S", "+", "canary", "canary", "`backendRefs` and rules in the route of the other Ingress", ""),
    ("S", "+", "canary-weight", "canary", "`backendRefs[].weight`", ""),
    ("S", "+", "canary-weight-total", "canary", "`backendRefs[].weight`; 100 at least", ""),
    ("S", "+", "canary-by-header", "canary", "rules with a header match, before the weights", ""),
    ("S", "+", "canary-by-header-value", "canary", "a rule with a header match", ""),
    ("S", "+", "canary-by-header-pattern", "canary", "a rule with a header match by expression", ""),
    ("S", "+", "canary-by-cookie", "canary", "rules with a match of `Cookie` by expression, behind the header", ""),
    ("S", "+", "enable-cors", "cors", "the filter `CORS`, with the defaults of ingress-nginx written out", ""),
    ("S", "+", "cors-allow-origin", "cors", "`allowOrigins`", ""),
    ("S", "+", "cors-allow-methods", "cors", "`allowMethods`", ""),
    ("S", "+", "cors-allow-headers", "cors", "`allowHeaders`", ""),
    ("S", "+", "cors-expose-headers", "cors", "`exposeHeaders`", ""),
    ("S", "+", "cors-allow-credentials", "cors", "`allowCredentials`", ""),
    ("S", "+", "cors-max-age", "cors", "`maxAge`", ""),
    ("S", "~", "mirror-target", "mirror", "`RequestMirror`; a copy has the host of its request", "have the Service that gets copies take any host"),
    ("P", "-", "mirror-host", "", "a copy has the host of its request", "have the Service that gets copies take it"),
    ("P", "-", "mirror-request-body", "", "a copy is whole", "have the Service that gets copies leave the body"),
    ("X", "~", "auth-url", "external", "AccessPolicy `external`: the service is given method, host, URL (`X-Forwarded-Uri`), `Authorization`, `Cookie` and few others", "name what else it needs in `external.http.allowedHeaders`"),
    ("X", "+", "auth-response-headers", "external", "AccessPolicy `external.http.allowedResponseHeaders`", ""),
    ("P", "~", "auth-signin", "external", "AccessPolicy `external.signIn.url`: people who open a page are sent there; any other request is told 401", ""),
    ("P", "+", "auth-signin-redirect-param", "external", "AccessPolicy `external.signIn.parameter`", ""),
    ("P", "-", "auth-method", "", "the service is asked with the method of the request", "have the service take any"),
    ("P", "-", "auth-proxy-set-headers", "", "the service gets fields of the request and the forwarding fields", "have the service do without them"),
    ("P", "-", "auth-request-redirect", "", "the service learns the URL from `X-Forwarded-Proto`, `-Host` and `-Uri`", "have the service read these"),
    ("P", "~", "auth-cache-key", "external", "AccessPolicy `external.cache`: the key is the whole question, with all fields that the service is given", ""),
    ("P", "~", "auth-cache-duration", "external", "AccessPolicy `external.cache.ttl`, 5m at most; refusals are not remembered", ""),
    ("P", "+", "auth-always-set-cookie", "external", "`Set-Cookie` among `allowedResponseHeaders`", ""),
    ("D", "o", "auth-keepalive", "", "connections are kept", ""),
    ("D", "o", "auth-keepalive-requests", "", "it tunes nginx", ""),
    ("D", "o", "auth-keepalive-timeout", "", "it tunes nginx", ""),
    ("D", "o", "auth-keepalive-share-vars", "", "it is about variables of nginx", ""),
    ("P", "+", "enable-global-auth", "external", "without AccessPolicy `external` where the settings ask for one", ""),
    ("N", "-", "auth-snippet", "", "configuration of nginx", _SNIPPET),
    ("P", "+", "auth-type", "basic", "AccessPolicy `basic`", ""),
    ("P", "+", "auth-secret", "basic", "AccessPolicy `basic.secretRef`", ""),
    ("P", "+", "auth-secret-type", "basic", "AccessPolicy `basic.secretRef.key`", ""),
    ("P", "+", "auth-realm", "basic", "AccessPolicy `basic.realm`", ""),
    ("S", "~", "auth-tls-secret", "client_tls", "`tls.frontend` of the Gateway with the CA certificates in a ConfigMap, and AccessPolicy `certificate`; who has none is told 401", ""),
    ("S", "+", "auth-tls-verify-client", "client_tls", "AccessPolicy `certificate.mode`", ""),
    ("P", "~", "auth-tls-verify-depth", "client_tls", "chains are verified to their end, however long they are", "have the CA limit the length of its chains"),
    ("P", "-", "auth-tls-error-page", "client_tls", "clients without a certificate are told 401", "HTTPFilter `errorPages` stands in for it"),
    ("P", "~", "auth-tls-match-cn", "client_tls", "AccessPolicy `authorization.rules[].when`: the first URI or DNS name of a certificate is looked at, the subject where it has none", ""),
    ("P", "~", "auth-tls-pass-certificate-to-upstream", "client_tls", "ClientPolicy `clientCertificate`: `X-Forwarded-Client-Cert` in place of `ssl-client-cert`", "have the backend read it"),
    ("S", "~", "ssl-passthrough", "hosts", "a listener that passes TLS through and a TLSRoute; port 80 is not served for the host", ""),
    ("P", "-", "ssl-ciphers", "", "ciphers that are safe, and no others", "ClientPolicy `tls` chooses the versions"),
    ("D", "o", "ssl-prefer-server-ciphers", "", "the order of the gateway always holds", ""),
    ("S", "~", "proxy-ssl-secret", "protocol", "BackendTLSPolicy with the `ca.crt` of the Secret in a ConfigMap; a certificate of the gateway is one for all backends", "`tls.backend.clientCertificateRef` of the Gateway where backends ask for one"),
    ("S", "+", "proxy-ssl-verify", "protocol", "BackendTLSPolicy, which always verifies", ""),
    ("S", "+", "proxy-ssl-name", "protocol", "BackendTLSPolicy `validation.hostname`", ""),
    ("S", "o", "proxy-ssl-server-name", "", "the name is always sent", ""),
    ("D", "o", "proxy-ssl-verify-depth", "", "chains are verified to their end", ""),
    ("P", "-", "proxy-ssl-protocols", "", "TLS 1.2 and 1.3", "BackendPolicy `tls.minVersion`"),
    ("P", "-", "proxy-ssl-ciphers", "", "ciphers that are safe, and no others", ""),
    ("D", "o", "proxy-http-version", "", "HTTP/1.1", ""),
    ("P", "+", "proxy-body-size", "bodies", "ClientPolicy `body.maxSize`", ""),
    ("P", "o", "client-body-buffer-size", "", "bodies are not written to disk", ""),
    ("P", "~", "proxy-request-buffering", "bodies", "`on`: HTTPFilter `buffer`; where nothing is written bodies go on as they come", ""),
    ("P", "~", "proxy-buffering", "", "answers go on as they come, as `off` has it", "a client that reads slowly holds its backend up"),
    ("D", "o", "proxy-buffer-size", "", "heads of answers have room enough", ""),
    ("D", "o", "proxy-buffers-number", "", "it tunes nginx", ""),
    ("D", "o", "proxy-busy-buffers-size", "", "it tunes nginx", ""),
    ("D", "o", "proxy-max-temp-file-size", "", "nothing is written to disk", ""),
    ("P", "+", "proxy-connect-timeout", "timeouts", "BackendPolicy `timeouts.connect`", ""),
    ("P", "~", "proxy-read-timeout", "timeouts", "BackendPolicy `timeouts.firstByte`; between later bytes the engine's `stall_timeout_ms` holds", ""),
    ("P", "~", "proxy-send-timeout", "", "the engine's `stall_timeout_ms` holds, for the whole data plane", "GatewayParameters `stall_timeout_ms`"),
    ("X", "~", "proxy-next-upstream", "retry", "`retry.codes`; connections that fail are always tried elsewhere", ""),
    ("X", "+", "proxy-next-upstream-tries", "retry", "`retry.attempts`, one less", ""),
    ("P", "-", "proxy-next-upstream-timeout", "", "no limit of all tries together", "`timeouts.request` of the route, which is about the whole answer"),
    ("P", "+", "custom-http-errors", "errors", "HTTPFilter `errorPages[].statuses`", ""),
    ("P", "+", "default-backend", "errors", "HTTPFilter `errorPages[].backendRef`", ""),
    ("P", "+", "disable-proxy-intercept-errors", "errors", "no page for errors of backends", ""),
    ("P", "+", "limit-rps", "limits", "RateLimitPolicy `local.limits[]`, `per: 1s`", ""),
    ("P", "+", "limit-rpm", "limits", "RateLimitPolicy `local.limits[]`, `per: 1m`", ""),
    ("P", "+", "limit-burst-multiplier", "limits", "RateLimitPolicy `local.limits[].burst`", ""),
    ("P", "+", "limit-connections", "limits", "RateLimitPolicy `local.limits[].concurrent`", ""),
    ("P", "+", "limit-allowlist|limit-whitelist", "limits", "RateLimitPolicy `local.exempt.clients`", ""),
    ("P", "-", "limit-rate", "", "no limit of bandwidth", "limit it where the network is"),
    ("P", "-", "limit-rate-after", "", "no limit of bandwidth", "limit it where the network is"),
    ("P", "+", "enable-access-log", "observability", "ClientPolicy `accessLog.mode`", ""),
    ("D", "o", "enable-rewrite-log", "", "it is for the debugging of nginx; `sluicegate explain` says what is rewritten", ""),
    ("X", "-", "enable-opentelemetry", "", "no tracing yet", "trace in the applications"),
    ("X", "-", "opentelemetry-trust-incoming-span", "", "no tracing yet; `traceparent` passes through", "trace in the applications"),
    ("P", "-", "opentelemetry-operation-name", "", "no tracing yet", "trace in the applications"),
    ("N", "-", "enable-modsecurity", "", "no firewall", _WAF),
    ("N", "-", "enable-owasp-core-rules", "", "no firewall", _WAF),
    ("N", "-", "modsecurity-snippet", "", "no firewall", _WAF),
    ("N", "-", "modsecurity-transaction-id", "", "no firewall", _WAF),
    ("N", "-", "configuration-snippet", "snippets", "configuration of nginx", _SNIPPET),
    ("N", "-", "server-snippet", "snippets", "configuration of nginx", _SNIPPET),
    ("N", "-", "stream-snippet", "", "configuration of nginx", "write TCPRoutes, TLSRoutes and UDPRoutes"),
    ("N", "-", "fastcgi-index", "", "no FastCGI", "have the application serve HTTP"),
    ("N", "-", "fastcgi-params-configmap", "", "no FastCGI", "have the application serve HTTP"),
    ("N", "-", "http2-push-preload", "", "browsers have no HTTP/2 push any more", "take it out"),
)  # fmt: skip


def _made() -> dict[str, Annotation]:
    found = {}
    for kind, fate, names, group, words, advice in _ROWS:
        name, *aliases = names.split("|")
        found[name] = Annotation(name, kind, _FATES[fate], words, advice, group, tuple(aliases))
    return found


ANNOTATIONS = _made()
#: By every name.
ROWS = {name: row for row in ANNOTATIONS.values() for name in (row.name, *row.aliases)}

#: Names that people write and that never were, with what to write instead.
INVENTED = {
    "enable-gzip": "take it out: `use-gzip` was a setting of the whole controller",
    "rate-limit": "write `limit-rps`",
    "websocket-services": "take it out: WebSockets need nothing",
    "client-max-body-size": "write `proxy-body-size`",
    "proxy-buffers": "write `proxy-buffers-number`",
    "hsts": "take it out: `hsts` was a setting of the whole controller",
    "preserve-host": "take it out: the host is kept",
    "enable-underscores-in-headers": "take it out: it was a setting of the whole controller; ClientPolicy `headers.underscores`",
    "secure-backends": "write `backend-protocol: HTTPS`",
    "add-base-url": "take it out: it went with ingress-nginx 0.22",
    "base-url-scheme": "take it out: it went with ingress-nginx 0.22",
    "session-cookie-hash": "take it out: it went with ingress-nginx 0.24",
    "grpc-backend": "write `backend-protocol: GRPC`",
}

"""The annotations of F5's NGINX Ingress Controller: what each means here. The documentation is made of this table.

Source of the names: `internal/configs/annotations.go` of nginx/kubernetes-ingress.
"""

from __future__ import annotations

from ..rows import AnnotationRow, annotation_rows

_SNIPPET = "write what it does as filters and policies: docs/migration.md names them by directive"
_WAF = "put a firewall in front, or ask one by AccessPolicy `external`"
_JWT = "AccessPolicy `jwt`; until then its paths answer 500"

_ROWS: tuple[AnnotationRow, ...] = (
    ("S", "+", "nginx.org/mergeable-ingress-type", "mergeable", "host and TLS of the master, paths of its minions: routes of each at the same listeners", ""),
    ("S", "~", "nginx.org/path-regex", "paths", "`RegularExpression`, or `Exact` for `exact`; the longest expression goes first, and the paths of other Ingresses of the host are expressions too", ""),
    ("S", "~", "nginx.org/rewrites", "paths", "`URLRewrite` with `ReplacePrefixMatch` for the paths of the Service; whole elements are replaced, so no `/` is doubled", ""),
    ("S", "+", "nginx.org/rewrite-target", "paths", "`URLRewrite`; with groups of the path HTTPFilter `rewrite.pathRegex`", ""),
    ("S", "~", "nginx.org/app-root", "redirects", "a rule for `/` alone with a `RequestRedirect`; the query of the request goes along", ""),
    ("S", "+", "nginx.org/ssl-redirect|ingress.kubernetes.io/ssl-redirect", "redirects", "a route at the listener of port 80 with a `RequestRedirect` to https", ""),
    ("S", "~", "nginx.org/redirect-to-https", "redirects", "the same whether or not the host has a certificate; requests without `X-Forwarded-Proto` are sent there too", ""),
    ("S", "+", "nginx.org/http-redirect-code", "redirects", "`RequestRedirect.statusCode`", ""),
    ("S", "+", "nginx.org/hsts", "redirects", "`Strict-Transport-Security` of answers over TLS, by `ResponseHeaderModifier`", ""),
    ("S", "+", "nginx.org/hsts-max-age", "redirects", "a part of `Strict-Transport-Security`", ""),
    ("S", "+", "nginx.org/hsts-include-subdomains", "redirects", "a part of `Strict-Transport-Security`", ""),
    ("S", "-", "nginx.org/hsts-behind-proxy", "", "the field is in answers over TLS alone", "have the proxy in front say it"),
    ("P", "+", "nginx.org/basic-auth-secret", "access", "AccessPolicy `basic.secretRef` with the key `htpasswd`", ""),
    ("P", "+", "nginx.org/basic-auth-realm", "access", "AccessPolicy `basic.realm`", ""),
    ("P", "-", "nginx.com/jwt-key", "access", "a Secret with keys is not read for a policy", _JWT),
    ("P", "-", "nginx.com/jwt-realm", "", "without `jwt-key` it never did anything, and its paths are closed with it", _JWT),
    ("P", "-", "nginx.com/jwt-token", "", "without `jwt-key` it never did anything, and its paths are closed with it", _JWT),
    ("P", "-", "nginx.com/jwt-login-url", "", "without `jwt-key` it never did anything, and its paths are closed with it", _JWT),
    ("P", "-", "nginx.org/policies", "access", "Policies of `k8s.nginx.org` are not read, and they may say who may: its paths answer 500", "write them as AccessPolicy and RateLimitPolicy"),
    ("P", "~", "nginx.org/limit-req-rate", "limits", "RateLimitPolicy `local.limits[].requests`; what is above the burst is refused, and nothing is delayed", ""),
    ("P", "+", "nginx.org/limit-req-key", "limits", "RateLimitPolicy `local.limits[].key` by the address of the client", ""),
    ("P", "+", "nginx.org/limit-req-burst", "limits", "RateLimitPolicy `local.limits[].burst`", ""),
    ("P", "+", "nginx.org/limit-req-reject-code", "limits", "RateLimitPolicy `local.reject.status`: 429 or 503", ""),
    ("P", "~", "nginx.org/limit-req-dry-run", "limits", "no limit is made", ""),
    ("P", "~", "nginx.org/limit-req-delay", "", "requests within the burst go on at once", ""),
    ("P", "o", "nginx.org/limit-req-no-delay", "", "requests within the burst go on at once, as `true` does", ""),
    ("P", "~", "nginx.org/limit-req-scale", "", "each pod gives all of the rate", "divide the rate by the number of pods"),
    ("D", "o", "nginx.org/limit-req-zone-size", "", "it tunes nginx", ""),
    ("D", "o", "nginx.org/limit-req-log-level", "", "refusals are counted, and stand in the access log", ""),
    ("P", "+", "nginx.org/client-max-body-size", "traffic", "ClientPolicy `body.maxSize`", ""),
    ("D", "o", "nginx.org/client-body-buffer-size", "", "bodies are not written to disk", ""),
    ("P", "+", "nginx.org/proxy-connect-timeout", "traffic", "BackendPolicy `timeouts.connect`", ""),
    ("P", "~", "nginx.org/proxy-read-timeout", "traffic", "BackendPolicy `timeouts.firstByte`; between later bytes the engine's `stall_timeout_ms` holds", ""),
    ("P", "~", "nginx.org/proxy-send-timeout", "", "the engine's `stall_timeout_ms` holds, for the whole data plane", "GatewayParameters `stall_timeout_ms`"),
    ("P", "~", "nginx.org/proxy-buffering", "", "answers go on as they come, as `false` has it", "a client that reads slowly holds its backend up"),
    ("D", "o", "nginx.org/proxy-buffers", "", "heads of answers have room enough", ""),
    ("D", "o", "nginx.org/proxy-buffer-size", "", "heads of answers have room enough", ""),
    ("D", "o", "nginx.org/proxy-busy-buffers-size", "", "it tunes nginx", ""),
    ("D", "o", "nginx.org/proxy-max-temp-file-size", "", "nothing is written to disk", ""),
    ("X", "~", "nginx.org/proxy-next-upstream", "traffic", "`retry.codes` for statuses; connections that fail are always tried elsewhere", ""),
    ("X", "+", "nginx.org/proxy-next-upstream-tries", "traffic", "`retry.attempts`, one less", ""),
    ("X", "-", "nginx.org/proxy-next-upstream-timeout", "", "no limit of all tries together", "`timeouts.request` of the route, which is about the whole answer"),
    ("S", "+", "nginx.org/proxy-hide-headers", "traffic", "`ResponseHeaderModifier.remove`", ""),
    ("P", "o", "nginx.org/proxy-pass-headers", "", "fields of backends go on, but for those of a single connection", ""),
    ("S", "+", "nginx.org/proxy-set-headers", "traffic", "`RequestHeaderModifier.set`", ""),
    ("D", "o", "nginx.org/server-tokens", "", "the gateway says nothing of its version", ""),
    ("S", "~", "nginx.org/ssl-services", "backends", "a BackendTLSPolicy of the Service: the certificate is verified, which it was not", ""),
    ("S", "+", "nginx.org/grpc-services", "backends", "GRPCRoute, where all paths of the host are those of gRPC services", ""),
    ("D", "o", "nginx.org/websocket-services", "", "WebSockets need nothing", ""),
    ("X", "~", "nginx.com/sticky-cookie-services", "backends", "`sessionPersistence`; cookies of NGINX are not known here, so each session begins anew once", ""),
    ("P", "+", "nginx.org/lb-method", "backends", "BackendPolicy `loadBalancing`; the endpoint with the fewest requests is the gateway's own choice", ""),
    ("P", "-", "nginx.org/max-conns", "", "no limit of connections to an endpoint is made", "RateLimitPolicy `local.limits[].concurrent`"),
    ("P", "~", "nginx.org/max-fails", "", "an endpoint whose connections fail is left alone for a while", "BackendPolicy `health`"),
    ("P", "~", "nginx.org/fail-timeout", "", "an endpoint whose connections fail is left alone for a while", "BackendPolicy `health`"),
    ("D", "o", "nginx.org/keepalive", "", "connections are kept", ""),
    ("D", "o", "nginx.org/upstream-zone-size", "", "it tunes nginx", ""),
    ("P", "-", "nginx.com/health-checks", "", "no policy is made of the readiness probe", "BackendPolicy `health.active`"),
    ("P", "-", "nginx.com/health-checks-mandatory", "", "an endpoint that was not asked yet does well", "BackendPolicy `health.active`"),
    ("P", "-", "nginx.com/health-checks-mandatory-queue", "", "requests do not wait for an endpoint", "BackendPolicy `health.active`"),
    ("P", "-", "nginx.com/slow-start", "", "an endpoint has its full share from the beginning", "have the readiness probe wait until it is warm"),
    ("P", "~", "nginx.org/use-cluster-ip", "", "endpoints are always used", "the sidecars of a mesh are at the endpoints too"),
    ("S", "-", "nginx.org/listen-ports", "", "listeners are at the port 80", "add listeners to the Gateway"),
    ("S", "-", "nginx.org/listen-ports-ssl", "", "listeners are at the port 443", "add listeners to the Gateway"),
    ("P", "-", "nginx.org/ssl-ciphers", "", "ciphers that are safe, and no others", "ClientPolicy `tls` chooses the versions"),
    ("D", "o", "nginx.org/ssl-prefer-server-ciphers", "", "the order of the gateway always holds", ""),
    ("N", "-", "nginx.org/location-snippets", "snippets", "configuration of nginx", _SNIPPET),
    ("N", "-", "nginx.org/server-snippets", "snippets", "configuration of nginx", _SNIPPET),
    ("N", "-", "appprotect.f5.com/app-protect-enable", "", "no firewall", _WAF),
    ("N", "-", "appprotect.f5.com/app-protect-policy", "", "no firewall", _WAF),
    ("N", "-", "appprotect.f5.com/app-protect-security-log-enable", "", "no firewall", _WAF),
    ("N", "-", "appprotect.f5.com/app-protect-security-log", "", "no firewall", _WAF),
    ("N", "-", "appprotect.f5.com/app-protect-security-log-destination", "", "no firewall", _WAF),
    ("N", "-", "appprotectdos.f5.com/app-protect-dos-resource", "", "no firewall", _WAF),
    ("N", "-", "nsm.nginx.com/internal-route", "", "no mesh", "take the Ingress out"),
)  # fmt: skip

ANNOTATIONS = annotation_rows(_ROWS)
#: By every name.
ROWS = {name: row for row in ANNOTATIONS.values() for name in (row.name, *row.aliases)}

#: Names that people write and that never were, with what to write instead.
INVENTED = {
    "nginx.org/rewrite": "write `nginx.org/rewrites`",
    "nginx.org/proxy-body-size": "write `nginx.org/client-max-body-size`",
    "nginx.org/backend-protocol": "write `nginx.org/ssl-services` or `nginx.org/grpc-services`",
    "nginx.org/use-regex": "write `nginx.org/path-regex`",
    "nginx.org/configuration-snippet": "write `nginx.org/location-snippets`",
}

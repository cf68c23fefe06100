"""The annotations of Traefik: what each means here. The documentation is made of this table.

Source of the names: Traefik's reference of Kubernetes Ingress routing, and `annotations.go` of its provider (3.7). Names match in any case.
"""

from __future__ import annotations

from ..rows import AnnotationRow, annotation_rows

_TRACE = "use an XTelemetryPolicy"
_OPTIONS = (
    "ClientPolicy `tls` of the Gateway; an option that asks clients for certificates is AccessPolicy `certificate`"
)

_ROWS: tuple[AnnotationRow, ...] = (
    ("S", "+", "router.entrypoints", "routers", "`web` and `websecure`: listeners at the ports 80 and 443", ""),
    ("P", "+", "router.middlewares", "middlewares", "filters and policies of each Middleware; the report has a line for each", ""),
    ("S", "~", "router.priority", "", "the more special path goes first", "make the path that is to go first the longer one"),
    ("S", "-", "router.rulesyntax", "", "rules come from hosts and paths alone", "take it out"),
    ("S", "+", "router.pathmatcher", "routers", "`PathPrefix`; for `Path` the type `Exact`", ""),
    ("S", "~", "router.tls", "routers", "requests of plain HTTP are sent to https; Traefik answers them 404", ""),
    ("P", "-", "router.tls.certresolver", "", "nobody asks for a certificate", "have cert-manager do it: `cert-manager.io/cluster-issuer` of the Gateway"),
    ("P", "-", "router.tls.domains", "", "nobody asks for a certificate", "have cert-manager do it"),
    ("P", "-", "router.tls.domains.n.main", "", "nobody asks for a certificate", "have cert-manager do it"),
    ("P", "-", "router.tls.domains.n.sans", "", "nobody asks for a certificate", "have cert-manager do it"),
    ("P", "-", "router.tls.options", "routers", "TLSOptions are not read, and they may ask clients for certificates: its paths answer 500", _OPTIONS),
    ("P", "+", "router.observability.accesslogs", "routers", "ClientPolicy `accessLog.mode`", ""),
    ("D", "o", "router.observability.metrics", "", "each route has its figures", ""),
    ("N", "-", "router.observability.tracing", "", "traces are of whole Gateways", _TRACE),
    ("N", "-", "router.observability.traceverbosity", "", "traces are of whole Gateways", _TRACE),
    ("S", "+", "service.serversscheme", "services", "`https`, and without it the port 443 or a name of the port that begins with https: a BackendTLSPolicy; `h2c`: a GRPCRoute, where all paths of the host are those of gRPC services", ""),
    ("P", "-", "service.serverstransport", "", "a ServersTransport is not read", "caCertificateRefs of the BackendTLSPolicy, `timeouts` of a BackendPolicy"),
    ("S", "~", "service.passhostheader", "", "backends get the host of the request, as `true` has it", "`URLRewrite.hostname` where a backend wants another one"),
    ("X", "+", "service.sticky.cookie", "services", "`sessionPersistence`", ""),
    ("X", "~", "service.sticky.cookie.name", "services", "`sessionPersistence.cookie.name`; cookies of Traefik are not known here, so each session begins anew once", ""),
    ("X", "+", "service.sticky.cookie.maxage", "services", "`absoluteTimeout` of a permanent cookie", ""),
    ("X", "+", "service.sticky.cookie.path", "services", "`sessionPersistence.cookie.path`", ""),
    ("P", "+", "service.sticky.cookie.domain", "services", "BackendPolicy `sessionCookie.domain`", ""),
    ("P", "+", "service.sticky.cookie.secure", "services", "BackendPolicy `sessionCookie.secure`; where the client came by TLS it is so anyway", ""),
    ("P", "o", "service.sticky.cookie.httponly", "", "the cookie is `HttpOnly`", ""),
    ("P", "+", "service.sticky.cookie.samesite", "services", "BackendPolicy `sessionCookie.sameSite`", ""),
    ("P", "-", "service.middlewares", "services", "Middlewares of a Service are not read, and they may say who may: its paths answer 500", "name them in `router.middlewares` of the Ingress"),
    ("P", "~", "service.nativelb", "", "endpoints are always used", "the sidecars of a mesh are at the endpoints too"),
    ("P", "~", "service.nodeportlb", "", "endpoints are always used", "the gateway has to be in the cluster"),
)  # fmt: skip

ANNOTATIONS = annotation_rows(_ROWS)
#: By every name.
ROWS = {name: row for row in ANNOTATIONS.values() for name in (row.name, *row.aliases)}

#: Names of Traefik 1 and others that do nothing, with what to write instead.
INVENTED = {
    "router.middleware": "write `router.middlewares`",
    "router.rule": "hosts and paths of the Ingress say it",
    "rule-type": "it was of Traefik 1: write a Middleware `stripPrefix`, or `router.pathmatcher`",
    "redirect-entry-point": "it was of Traefik 1: write a Middleware `redirectScheme`",
    "affinity": "it was of Traefik 1: write `service.sticky.cookie` at the Service",
    "whitelist-source-range": "it was of Traefik 1: write a Middleware `ipAllowList`",
}

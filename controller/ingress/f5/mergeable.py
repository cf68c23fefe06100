"""Masters and minions: an Ingress with a host and its TLS, and others with the paths of that host.

Source: `internal/configs/annotations.go` of nginx/kubernetes-ingress. What is
about a server is the master's alone, what is about backends each minion's own.
"""

from __future__ import annotations

from ...api.ingress import Ingress
from ..inventory import Inventory

KIND = "nginx.org/mergeable-ingress-type"
MASTER, MINION = "master", "minion"

#: What a master cannot have: it is about single Services.
NOT_OF_MASTERS = frozenset(
    {
        "nginx.org/rewrites",
        "nginx.org/ssl-services",
        "nginx.org/grpc-services",
        "nginx.org/websocket-services",
        "nginx.com/sticky-cookie-services",
        "nginx.com/health-checks",
        "nginx.com/health-checks-mandatory",
        "nginx.com/health-checks-mandatory-queue",
        "nginx.org/use-cluster-ip",
    }
)
#: What a minion cannot have, and what the master says for its paths too.
OF_SERVERS = frozenset(
    {
        "nginx.org/proxy-hide-headers",
        "nginx.org/redirect-to-https",
        "nginx.org/ssl-redirect",
        "nginx.org/http-redirect-code",
        "nginx.org/hsts",
        "nginx.org/hsts-max-age",
        "nginx.org/hsts-include-subdomains",
        "nginx.org/server-snippets",
    }
)
#: What a minion cannot have, and what is nothing for its paths.
NOT_OF_MINIONS = frozenset(
    {
        *OF_SERVERS,
        "ingress.kubernetes.io/ssl-redirect",
        "nginx.org/proxy-pass-headers",
        "nginx.org/server-tokens",
        "nginx.org/listen-ports",
        "nginx.org/listen-ports-ssl",
        "nginx.org/ssl-ciphers",
        "nginx.org/ssl-prefer-server-ciphers",
        "nginx.org/app-root",
    }
)
#: What the master says where a minion does not. Of the whole server, and so of its locations: who may.
INHERITED = frozenset(
    {
        "nginx.org/proxy-connect-timeout",
        "nginx.org/proxy-read-timeout",
        "nginx.org/client-max-body-size",
        "nginx.org/location-snippets",
        "nginx.org/lb-method",
        "nginx.org/limit-req-rate",
        "nginx.org/limit-req-key",
        "nginx.org/limit-req-burst",
        "nginx.org/limit-req-dry-run",
        "nginx.org/limit-req-reject-code",
        "nginx.org/basic-auth-secret",
        "nginx.org/basic-auth-realm",
        "nginx.com/jwt-key",
        "nginx.org/policies",
    }
)


def kind_of(ingress: Ingress) -> str:
    """`master`, `minion`, or what else it says; empty: neither."""
    return ingress.metadata.annotations.get(KIND, "").strip()


def master_of(minion: Ingress, inventory: Inventory) -> Ingress | None:
    """The master of a minion; None: no Ingress is that."""
    hosts = {rule.host.lower() for rule in minion.spec.rules}
    for item in inventory.ingresses:
        if kind_of(item) == MASTER and hosts & {rule.host.lower() for rule in item.spec.rules}:
            return item
    return None

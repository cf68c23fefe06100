"""Annotations of other programs: they go where these read them, and what nobody reads there is told.

Sources: "Gateway API Annotation Placement" of external-dns (`target` of Gateways and ListenerSets, all else of routes);
`pkg/controller/certificate-shim` of cert-manager (of Ingresses alone: what begins with `acme.`).
"""

from __future__ import annotations

from ...api.ingress import Ingress
from ..inventory import Inventory
from ..losses import Ledger

#: What annotations of external-dns begin with: the older one, and the one since 0.22.
EXTERNAL_DNS = ("external-dns.alpha.kubernetes.io/", "external-dns.kubernetes.io/")
CERT_MANAGER = "cert-manager.io/"
_LEGACY_ACME = "kubernetes.io/tls-acme"
_ACME = "acme.cert-manager.io/"
#: Where the names of hosts are, which of a route are always its own and those of its annotation.
_OF_INGRESSES = "ingress-hostname-source"
_TARGET = "target"

Annotations = tuple[tuple[str, str], ...]


def of_routes(ingress: Ingress) -> dict[str, str]:
    """Annotations that mean the same of a route."""
    found = ingress.metadata.annotations.items()
    return {name: value for name, value in found if _of_dns(name) not in {"", _TARGET, _OF_INGRESSES}}


def of_certificates(ingress: Ingress) -> Annotations:
    """What cert-manager is told: it reads the same of Gateways and ListenerSets."""
    found = ingress.metadata.annotations.items()
    return tuple(
        sorted((name, value) for name, value in found if name.startswith(CERT_MANAGER) or name == _LEGACY_ACME)
    )


def targets(ingress: Ingress) -> Annotations:
    """Where names lead, as external-dns reads it of Gateways and ListenerSets."""
    found = ingress.metadata.annotations.items()
    return tuple(sorted((name, value) for name, value in found if _of_dns(name) == _TARGET))


def leads(annotations: Annotations) -> bool:
    """Whether they say where names lead."""
    return any(_of_dns(name) == _TARGET for name, _ in annotations)


def tell_dropped(ingress: Ingress, inventory: Inventory, ledger: Ledger) -> None:
    """Tell what other programs read of Ingresses alone."""
    for name in sorted(ingress.metadata.annotations):
        cause = inventory.of_annotation(ingress, name)
        if name.startswith(_ACME):
            message = "cert-manager reads it of Ingresses alone: it is not carried over"
            remedy = "have the issuer solve by `http01.gatewayHTTPRoute`, or by DNS"
            ledger.tell(cause, "no-equivalent", message, remedy)
        elif _of_dns(name) == _OF_INGRESSES:
            message = "external-dns reads it of Ingresses alone: names of routes are those of hosts and annotations"
            ledger.tell(cause, "no-equivalent", message, "see which records external-dns makes")


def _of_dns(name: str) -> str:
    """The name of an annotation of external-dns without its prefix; empty: it is another one's."""
    return next((name.removeprefix(prefix) for prefix in EXTERNAL_DNS if name.startswith(prefix)), "")

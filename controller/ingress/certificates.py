"""Which certificate a host has: that of the first Ingress that has one for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..api import Secret
from ..api.ingress import Ingress, IngressTLS
from .hosts import Certificate, Host
from .inventory import Inventory
from .losses import Aspect, Ledger
from .options import Name

#: What answers differ in where TLS is asked for without a certificate.
_WITHOUT_SECRET: tuple[Aspect, ...] = ("redirect", "reach", "answer-fields")


class Certificates:
    """Finds the certificates of hosts.

    Attributes:
        unsaid: hosts that are to have TLS, by an Ingress that names no Secret.
    """

    def __init__(
        self,
        default: Name | None,
        title: str,
        inventory: Inventory,
        ledger: Ledger,
        names: Callable[[Secret], tuple[str, ...] | None],
    ) -> None:
        """Begin.

        Args:
            default: of hosts whose Ingress wants TLS and names no Secret; None: they have none.
            title: what the source's controller is called.
            inventory: what is in hand.
            ledger: takes what is told.
            names: of the certificate of a Secret; None: it cannot be read.
        """
        self._names = names
        self._default = default
        self._title = title
        self._inventory = inventory
        self._ledger = ledger
        self.unsaid: set[str] = set()

    def give(self, item: Ingress, hosts: Iterable[Host]) -> None:
        """Give hosts that an Ingress names the certificates that it has for them."""
        for host in hosts:
            found = self._certificate(item, host.name)
            if found is None:
                continue
            if host.certificate is None:
                host.certificate = found
            elif host.certificate.secret != found.secret:
                kept = host.certificate
                message = f"the host has the certificate of {'/'.join(kept.secret)} already ({kept.cause.place})"
                self._ledger.tell(found.cause, "invalid", message, "keep one of the two", host=host.name)

    def share(self, hosts: Mapping[str, Host]) -> None:
        """Give a host without one that of the wildcard above it, as `certificate.lua` of ingress-nginx does."""
        for host in hosts.values():
            above = hosts.get(f"*.{host.name.partition('.')[2]}")
            if host.certificate is None and host.name and above is not None:
                host.certificate = above.certificate

    def _certificate(self, item: Ingress, host: str) -> Certificate | None:
        entries = list(enumerate(item.spec.tls))
        # Who lists the host goes before a certificate that has its name (`extractTLSSecretName`).
        listing = [pair for pair in entries if host in {name.lower() for name in pair[1].hosts}]
        fitting = (pair for pair in entries if self._fits(pair[1], item, host))
        for number, entry in (*listing[:1], *([] if listing else fitting)):
            cause = self._inventory.cause(item, f"spec.tls[{number}]", entry.secret_name)
            if not entry.secret_name and self._default is not None:
                return Certificate(self._default, item, cause)
            if not entry.secret_name:
                self.unsaid.add(host)
                message = "it names no Secret: the host had the certificate that the controller has for all"
                remedy = "name a Secret, or give --default-certificate"
                touches = _WITHOUT_SECRET
                self._ledger.tell(cause, "invalid", message, remedy, host=host, touches=touches)
                return None
            secret = Name(item.namespace, entry.secret_name)
            if secret not in self._inventory.secrets and not _is_made(item):
                message = (
                    f"the Secret {'/'.join(secret)} is not here: a listener without its certificate does not serve"
                )
                remedy = f"see that the cluster has it; {self._title} would show a certificate of its own"
                self._ledger.tell(cause, "converted-with-difference", message, remedy, host=host)
            return Certificate(secret, item, cause)
        return None

    def _fits(self, entry: IngressTLS, item: Ingress, host: str) -> bool:
        """Whether the certificate of an entry has the name of a host that it need not list.

        One that cannot be read is taken to have the names that it is listed for, or all where it is listed for none.
        """
        wildcard = f"*.{host.partition('.')[2]}"
        secret = self._inventory.secrets.get((item.namespace, entry.secret_name))
        names = self._names(secret) if secret is not None else None
        if names is None:
            return not entry.hosts or wildcard in {name.lower() for name in entry.hosts}
        return not {host, wildcard}.isdisjoint(name.lower() for name in names)


def _is_made(item: Ingress) -> bool:
    """Whether somebody makes the Secret of its certificate: cert-manager does."""
    return any(
        name.startswith("cert-manager.io/") or name == "kubernetes.io/tls-acme" for name in item.metadata.annotations
    )

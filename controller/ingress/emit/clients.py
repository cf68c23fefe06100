"""TLS of clients. Certificates: a Gateway validates them by port, policies ask for them by host.

The port lets everybody in (`AllowInsecureFallback`), and the AccessPolicy of a host refuses who has shown none. All
hosts of the port have the same CAs then: where two hosts have two, each would take the other's clients, so both are
closed.
"""

from __future__ import annotations

from typing import Any

from ...api.ingress import Ingress
from ..features import Addresses, ClientCiphers, Features, Passthrough
from ..hosts import Host
from ..losses import Cause
from ..site import Site
from .authorities import authority
from .authorization import authorization
from .listeners import HTTPS, Listeners
from .manifest import slug
from .output import GATEWAY_GROUP, Output, Target


class Clients:
    """Which hosts ask for certificates, and whether they can."""

    def __init__(self, site: Site, listeners: Listeners, output: Output) -> None:
        """Look at all hosts; tell what is different."""
        self._output = output
        self._listeners = listeners
        self._asking = [(host, host.clients) for host in site if host.clients is not None]
        self.frontend = self._frontend()

    def closed(self, host: Host, features: Features) -> bool:
        """Whether a host asks for certificates that cannot be asked for, of an Ingress with these features."""
        feature = host.clients
        if feature is None:
            return False
        addresses = features.get(Addresses)
        if addresses is not None and addresses.suffices:
            # There `satisfy` is about passwords alone; here whom `exempt` names needs no credential at all.
            message = "an address that spares the password would spare the certificate too: paths with both answer 500"
            remedy = "leave out satisfy, or auth-tls-secret"
            self._output.ledger.tell(feature.cause, "no-equivalent", message, remedy, host=host.name)
            return True
        return self.frontend is None

    def _frontend(self) -> dict[str, Any] | None:
        """`tls.frontend` of the Gateway; None: nobody asks, or it cannot be said."""
        secrets = {feature.secret for _, feature in self._asking}
        if not secrets:
            return None
        if len(secrets) > 1:
            self._tell("hosts ask for certificates of several CAs, and a port has one list: they answer 500")
            return None
        if not all(self._output.allows("AccessPolicy", feature.causes) for _, feature in self._asking):
            return None
        causes = self._asking[0][1].causes
        name = authority(secrets.pop(), self._listeners.gateway.namespace, causes, self._output)
        if name is None:
            self._tell("the Secret with the CA certificates is not here, or has no ca.crt: its hosts answer 500")
            return None
        for host, feature in self._asking:
            message = "every host of port 443 asks for a certificate; this one refuses who has none by 401"
            remedy = "browsers that have certificates ask their users at the other hosts too"
            self._output.ledger.tell(feature.cause, "converted-with-difference", message, remedy, host=host.name)
        reference = {"group": "", "kind": "ConfigMap", "name": name}
        return {"default": {"validation": {"caCertificateRefs": [reference], "mode": "AllowInsecureFallback"}}}

    def _tell(self, message: str) -> None:
        for host, feature in self._asking:
            remedy = "give the Secret as well; hosts with another CA need a Gateway of their own (--ingress-class)"
            self._output.ledger.tell(feature.cause, "no-equivalent", message, remedy, host=host.name)

    def emit(self, host: Host, ingress: Ingress, features: Features, targets: list[Target]) -> None:
        """Make the policy that asks for certificates at routes of a host."""
        feature = host.clients
        if feature is None or not targets or self.closed(host, features):
            return
        own, output = ingress.namespace, self._output
        name = output.names.give("AccessPolicy", own, ingress.name, slug(host.name), "certificate")
        value: dict[str, Any] = {} if feature.required else {"mode": "Optional"}
        output.policy("AccessPolicy", own, name, targets, "certificate", value or {"mode": "Required"}, feature.causes)
        rules = authorization(features, feature) if feature.pattern else None
        if rules is not None:
            output.policy("AccessPolicy", own, name, targets, "authorization", *rules)

    def emit_ciphers(self, site: Site) -> None:
        """Make the policies that say which cipher suites a host speaks: the first Ingress that names some has it so."""
        for host in site:
            each = (item.features.get(ClientCiphers) for item in host.locations)
            feature = next((item for item in each if item is not None), None)
            if feature is not None and host.features.get(Passthrough) is None:
                self._of_listeners(host, "tls", {"cipherSuites": list(feature.suites)}, feature.causes)

    def _of_listeners(self, host: Host, part: str, value: dict[str, Any], causes: tuple[Cause, ...]) -> None:
        """Take a part of the policies of a host's listeners on port 443."""
        for hostname in host.names:
            entry = self._listeners.get(hostname, HTTPS)
            if entry is None:
                continue
            kind, namespace, name = entry.parent
            target = {"group": GATEWAY_GROUP, "kind": kind, "name": name, "sectionName": entry.name}
            own = self._output.names.give("ClientPolicy", namespace, name, slug(hostname), "tls")
            self._output.policy("ClientPolicy", namespace, own, [target], part, value, causes)

    def emit_forwarding(self) -> None:
        """Make the policies by which backends are told of certificates."""
        for host, feature in self._asking:
            if not feature.forward or self.frontend is None:
                continue
            fields = {"fields": ["Hash", "Cert", "Subject", "URI", "DNS"]}
            self._of_listeners(host, "clientCertificate", fields, feature.causes)

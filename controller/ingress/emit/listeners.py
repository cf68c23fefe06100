"""Listeners: one for each host and port, as the source's controller has a server for each host.

A listener of its own keeps a host from falling through to the paths of a wildcard: neither nginx nor a Gateway does
that between listeners. They stand in the Gateway where there is one namespace and room; else in ListenerSets, of the
namespaces that have the certificates: so nobody needs a grant, and cert-manager makes what it is asked for there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...api import DEFAULT_NAMESPACE
from ..features import Passthrough, WwwRedirect
from ..hosts import Host
from ..losses import Cause
from ..options import Name
from ..port_maps import PortEntry
from ..site import Site
from .carried import CERT_MANAGER, Annotations, leads, of_certificates, targets
from .manifest import Manifest, digest, unique
from .output import Output

#: Of a Gateway or a ListenerSet.
MAX_LISTENERS = 64
HTTP, HTTPS = 80, 443
_NAMESPACE_LABEL = "kubernetes.io/metadata.name"


@dataclass(slots=True)
class Entry:
    """A listener.

    Attributes:
        hostname: of it; empty: all.
        port: 80 or 443, or that of a protocol below HTTP.
        namespace: of its certificate, or of the host's owner.
        annotations: of cert-manager and external-dns, which the host's Ingress has.
        certificate: of HTTPS.
        passthrough: TLS goes on as it comes.
        causes: where it comes from.
        routes: namespaces of its routes.
        parent: what it stands in, once that is known: kind, namespace and name.
        section: its name there, where it is there already; empty: it is made.
        protocol: TCP or UDP, of a port without hosts; empty: it is one of HTTP or TLS.
    """

    hostname: str
    port: int
    namespace: str
    annotations: Annotations
    causes: tuple[Cause, ...]
    certificate: Name | None = None
    passthrough: bool = False
    routes: set[str] = field(default_factory=set)
    parent: tuple[str, str, str] = ("", "", "")
    section: str = ""
    protocol: str = ""

    @property
    def name(self) -> str:
        """Of the listener."""
        if self.protocol:
            return f"{self.protocol.lower()}-{self.port}"
        protocol = "http" if self.port == HTTP else "tls" if self.passthrough else "https"
        host = self.hostname.replace("*.", "wildcard.")
        return f"{protocol}.{host}"[:253].rstrip(".-") if host else protocol

    def reference(self, namespace: str) -> dict[str, Any]:
        """The listener, as a route of a namespace names its parent."""
        self.routes.add(namespace)
        kind, own, name = self.parent
        found: dict[str, Any] = {"kind": kind} if kind != "Gateway" else {}
        found["name"] = name
        if own != namespace:
            found["namespace"] = own
        return {**found, "sectionName": self.section or self.name}


class Listeners:
    """All listeners, by hostname and port."""

    def __init__(self, site: Site, output: Output, ports: Iterable[PortEntry] = ()) -> None:
        """Plan the listeners of all hosts and ports, and where they stand."""
        self._output = output
        self._entries: dict[tuple[str, int], Entry] = {}
        for host in site:
            self._plan(host, site)
        for each in ports:
            entry = Entry("", each.port, each.service.namespace, (), (each.cause,), protocol=each.protocol)
            self._entries[_of_port(each)] = entry
        self._gateway = self._place()

    @property
    def gateway(self) -> Name:
        """The Gateway."""
        return self._gateway

    def get(self, hostname: str, port: int) -> Entry | None:
        """The listener of a host; None: it has none at that port."""
        return self._entries.get((hostname, port))

    def port(self, entry: PortEntry) -> Entry:
        """The listener of a port without hosts."""
        return self._entries[_of_port(entry)]

    def _plan(self, host: Host, site: Site) -> None:
        passthrough = host.features.get(Passthrough)
        names: dict[str, tuple[Cause, ...]] = {name: (host.aliases.get(name, host.cause),) for name in host.names}
        other = www_of(host, site)
        if other is not None:
            names[other[0]] = other[1].causes
        led = self._led(host)
        for name, causes in names.items():
            if passthrough is not None:
                self._add(
                    Entry(name, HTTPS, host.owner.namespace, led, (*causes, *passthrough.causes), passthrough=True)
                )
                continue
            certificate = host.certificate
            owner = certificate.owner if certificate is not None else host.owner
            told = led + (of_certificates(owner) if certificate is not None else ())
            self._add(Entry(name, HTTP, owner.namespace, told, causes))
            if certificate is not None:
                both = unique((*causes, certificate.cause))
                self._add(Entry(name, HTTPS, owner.namespace, told, both, certificate=certificate.secret))
            elif self._output.options.default_certificate is not None:
                default = self._output.options.default_certificate
                self._add(Entry(name, HTTPS, owner.namespace, led, causes, certificate=default))

    def _led(self, host: Host) -> Annotations:
        """Where external-dns leads the names of a host: what its first Ingress says that says something."""
        if not host.name or self._output.options.virtual:
            return ()
        asking = {str(item.key): item for item in (host.owner, *(each.ingress for each in host.locations))}
        found = [(item, led) for item in asking.values() if (led := targets(item))]
        for item, led in found[1:]:
            if led != found[0][1]:
                message = f"{found[0][0].key} says where the names of the host lead: this one is not carried over"
                cause = self._output.inventory.of_annotation(item, led[0][0])
                self._output.ledger.tell(cause, "no-equivalent", message, "keep one of the two", host=host.name)
        if found and self._output.options.gateway_exists:
            cause = self._output.inventory.of_annotation(found[0][0], found[0][1][0][0])
            message = "external-dns reads it of the Gateway or ListenerSet that has the listener: where one is there, "
            message += "it is not written"
            self._output.ledger.tell(cause, "converted-with-difference", message, "write it there", host=host.name)
        return found[0][1] if found else ()

    def _add(self, entry: Entry) -> None:
        self._entries.setdefault((entry.hostname, entry.port), entry)

    def _place(self) -> Name:
        """Where the listeners stand; returns the Gateway."""
        entries = [self._entries[key] for key in sorted(self._entries, key=lambda key: (key[0] == "", key))]
        groups = _grouped(entries)
        asked = self._output.options.gateway
        own = {namespace for namespace, _ in groups}
        namespace = asked.namespace or (own.pop() if len(own) == 1 else DEFAULT_NAMESPACE)
        gateway = Name(
            namespace, asked.name or self._output.options.ingress_class or self._output.provider.ingress_class
        )
        if self._output.options.gateway_exists:
            entries = [entry for entry in entries if not self._is_there(entry, gateway)]
            groups = _grouped(entries)
        if self._output.options.virtual:
            for entry in entries:
                # One for each host: a host is served whatever becomes of the others.
                made = self._output.names.give("ListenerSet", entry.namespace, entry.hostname)
                entry.parent = ("ListenerSet", entry.namespace, made)
            return gateway
        alone = len(groups) == 1 and len(entries) <= MAX_LISTENERS and next(iter(groups))[0] == namespace
        alone = alone and not self._output.options.gateway_exists
        if alone:
            for entry in entries:
                entry.parent = ("Gateway", *gateway)
            return gateway
        for entry in entries:
            # A listener for all hosts is the Gateway's: there is one at a port, and it has one for hosts of nobody.
            entry.parent = ("Gateway", *gateway)
        labels: set[tuple[str, str]] = set()
        for (place, told), every in groups.items():
            found = [entry for entry in every if entry.hostname or entry.protocol]
            label = dict(told).get(f"{CERT_MANAGER}issuer", "")
            label = label or dict(told).get(f"{CERT_MANAGER}cluster-issuer", "certificates" if told else "")
            if (place, label) in labels:
                label = f"{label}-{digest(repr(told))}"
            labels.add((place, label))
            for number, start in enumerate(range(0, len(found), MAX_LISTENERS)):
                parts = (gateway.name, label, f"{number + 1}" if number else "")
                name = self._output.names.give("ListenerSet", place, *parts)
                for entry in found[start : start + MAX_LISTENERS]:
                    entry.parent = ("ListenerSet", place, name)
        return gateway

    def _is_there(self, entry: Entry, gateway: Name) -> bool:
        """Have a listener that is there where it is: that of all hosts is the Gateway's.

        Whoever may say what the Gateway, or the namespace of the host, has may take the host over: nobody else.
        """
        known = self._output.inventory.listeners
        found = known.get((entry.hostname, entry.port), ()) if not entry.protocol else ()
        trusted = (item for item in found if item.namespace in {gateway.namespace, entry.namespace})
        place = next(trusted, None)
        if place is not None:
            entry.parent, entry.section = (place.kind, place.namespace, place.name), place.section
        elif not entry.hostname and not entry.protocol:
            entry.parent, entry.section = ("Gateway", *gateway), entry.name
        return bool(entry.section)

    def emit(self, frontend: dict[str, Any] | None) -> None:
        """Make the Gateway, with its `tls.frontend`, and the ListenerSets: once the routes are known."""
        parents: dict[tuple[str, str, str], list[Entry]] = {("Gateway", *self._gateway): []}
        if self._output.options.gateway_exists:
            parents.clear()
        for key in sorted(self._entries, key=lambda key: (key[0] == "", key)):
            entry = self._entries[key]
            if not entry.section:
                parents.setdefault(entry.parent, []).append(entry)
        others = sorted({namespace for kind, namespace, _ in parents if kind == "ListenerSet"})
        for (kind, namespace, name), entries in parents.items():
            listeners = [self._listener(entry, namespace) for entry in entries]
            annotations = {key: value for entry in entries for key, value in entry.annotations}
            causes = {f"spec.listeners[{number}]": entry.causes for number, entry in enumerate(entries)}
            spec: dict[str, Any]
            if kind == "Gateway":
                spec = {"gatewayClassName": self._output.options.gateway_class}
                if frontend is not None:
                    spec["tls"] = {"frontend": frontend}
                if others:
                    spec["allowedListeners"] = {"namespaces": _namespaces(others)}
                # What no host has is answered 404 there and here; a Gateway has one listener at least.
                spec["listeners"] = listeners or [{"name": "http", "port": HTTP, "protocol": "HTTP"}]
            else:
                parent: dict[str, Any] = {"name": self._gateway.name}
                if namespace != self._gateway.namespace:
                    parent["namespace"] = self._gateway.namespace
                spec = {"parentRef": parent, "listeners": listeners}
            if not entries:
                title = f"default of {self._output.provider.title}"
                causes = {"spec.listeners[0]": (Cause(title, subject="a server for all other hosts"),)}
            self._output.add(Manifest(kind, namespace, name, spec, annotations, causes))

    def _listener(self, entry: Entry, namespace: str) -> dict[str, Any]:
        found: dict[str, Any] = {"name": entry.name}
        if entry.hostname:
            found["hostname"] = entry.hostname
        protocol = "HTTP" if entry.port == HTTP else "TLS" if entry.passthrough else "HTTPS"
        found |= {"port": entry.port, "protocol": entry.protocol or protocol}
        if entry.passthrough:
            found["tls"] = {"mode": "Passthrough"}
        elif entry.certificate is not None:
            reference: dict[str, Any] = {"name": entry.certificate.name}
            if entry.certificate.namespace != namespace:
                reference["namespace"] = entry.certificate.namespace
                source = ("gateway.networking.k8s.io", entry.parent[0], namespace)
                self._output.grant(source, "Secret", *entry.certificate, entry.causes)
            found["tls"] = {"certificateRefs": [reference]}
        if entry.routes - {namespace}:
            found["allowedRoutes"] = {"namespaces": _namespaces(sorted(entry.routes | {namespace}))}
        return found


def _of_port(entry: PortEntry) -> tuple[str, int]:
    """The key of a listener that has no hostname: no host has such a name, and all of them come before."""
    return f"~{entry.protocol}", entry.port


def _namespaces(names: Iterable[str]) -> dict[str, Any]:
    expression = {"key": _NAMESPACE_LABEL, "operator": "In", "values": list(names)}
    return {"from": "Selector", "selector": {"matchExpressions": [expression]}}


def _grouped(entries: Iterable[Entry]) -> dict[tuple[str, Annotations], list[Entry]]:
    """Listeners that may stand in one object: of a namespace, and of one mind about certificates."""
    minds: dict[str, set[Annotations]] = {}
    found: dict[tuple[str, Annotations], list[Entry]] = {}
    for entry in entries:
        minds.setdefault(entry.namespace, set()).update({entry.annotations} - {()})
        found.setdefault((entry.namespace, entry.annotations), []).append(entry)
    for namespace, every in minds.items():
        if len(every) == 1 and (namespace, ()) in found:
            mind = next(iter(every))
            # Where names lead is for those alone that it is written for.
            plain = found.pop((namespace, ()))
            others = [entry for entry in plain if leads(mind) and entry.hostname]
            found[namespace, mind] += [entry for entry in plain if not (leads(mind) and entry.hostname)]
            if others:
                found[namespace, ()] = others
    for (_, told), items in found.items():
        items.sort(key=lambda entry: (entry.hostname == "", entry.hostname, entry.port))
        for entry in items:
            entry.annotations = told
    return dict(sorted(found.items()))


def www_of(host: Host, site: Site) -> tuple[str, WwwRedirect] | None:
    """The name that is sent to a host, where it is asked for and no host of its own; None: there is none."""
    if not host.name or host.name.startswith("*"):
        return None
    features = [item.features.get(WwwRedirect) for item in (*host.locations, *host.hidden) if not item.implied]
    feature = next((item for item in features if item is not None), None)
    other = host.name.removeprefix("www.") if host.name.startswith("www.") else f"www.{host.name}"
    if feature is None or site.has(other):
        return None
    return other, feature

"""Servers and their locations, as ingress-nginx 1.15 puts them together.

Source: `createUpstreams`, `createServers`, `getBackendServers`, `mergeAlternativeBackends` of
`internal/ingress/controller/controller.go`; `updateServerLocations` of `location.go`; `BuildRedirects`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from ...api import ObjectKey, Service
from ...api.core import ServicePort
from ...api.ingress import HTTPIngressPath, Ingress, IngressServiceBackend
from .objects import Objects
from .rules import CanaryPolicy, Rules, read
from .selection import selected
from .written import RefusedIngressError, Settings

#: The server of all hosts that have none.
DEFAULT_SERVER = "_"
#: A Service by its name in the cluster's DNS: the same endpoints.
_OF_CLUSTER = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(?:\..+)?")


@dataclass(slots=True)
class Upstream:
    """A port of a Service, as an Ingress names it; all locations that name it share it, and its canary.

    Attributes:
        backend: `namespace/service:port`, or `host:port`; empty: the Service has no such port.
        named: `service:port`, as the Ingress names it.
        policy: of a canary, which has no locations of its own; None: it is none.
        alternatives: canaries that take a part.
    """

    backend: str
    named: str = ""
    policy: CanaryPolicy | None = None
    alternatives: list[Upstream] = field(default_factory=list)


@dataclass(slots=True)
class Location:
    """A location.

    Attributes:
        path: of it.
        exact: of the type `Exact`.
        rules: of its Ingress.
        place: object and field that have it.
        upstream: None: the controller's own 404.
        implied: nobody has written it.
    """

    path: str
    exact: bool
    rules: Rules
    place: tuple[str, str]
    upstream: Upstream | None
    implied: bool = False

    @property
    def rewrites(self) -> bool:
        """`needsRewrite`."""
        return bool(self.rules.target) and self.rules.target != self.path


@dataclass(slots=True)
class Server:
    """A server.

    Attributes:
        name: `_` for all other hosts.
        locations: in the order of nginx' configuration.
        aliases: other names.
        certified: it has a certificate, be it the controller's own.
        passthrough: TLS goes on as it comes.
        www: one of its locations has `from-to-www-redirect`.
        client: `auth-tls-verify-client`; empty: no certificate is asked for.
        client_error: every request is answered 403.
    """

    name: str
    locations: list[Location] = field(default_factory=list)
    aliases: tuple[str, ...] = ()
    certified: bool = False
    passthrough: bool = False
    www: bool = False
    client: str = ""
    client_error: bool = False

    @property
    def regex(self) -> bool:
        """`enforceRegexModifier`: one location makes all of them expressions."""
        return any(item.rewrites or item.rules.regex for item in self.locations)


@dataclass(frozen=True, slots=True)
class Site:
    """All servers.

    Attributes:
        servers: by name.
        redirects: hosts that are sent to another one, and whether they have a certificate.
        refused: Ingresses that the controller does not take.
    """

    servers: dict[str, Server]
    redirects: dict[str, tuple[str, bool]]
    refused: tuple[ObjectKey, ...]


def build(objects: Objects, settings: Settings, *, lenient: bool = False) -> Site:
    """Put the servers together; `lenient`: with the Ingresses that the controller does not take.

    Then Services of canaries are no others' either, who would get nothing there, or leave the canary nothing.
    """
    rules: dict[ObjectKey, Rules] = {}
    refused: list[ObjectKey] = []
    ingresses: list[Ingress] = []
    for item in selected(objects):
        try:
            rules[item.key] = read(item, objects, settings, lenient=lenient)
            ingresses.append(item)
        except RefusedIngressError:
            refused.append(item.key)
    made = _Builder(objects, rules, lenient=lenient)
    made.upstreams(ingresses)
    made.create(ingresses)
    made.certify(ingresses)
    made.fill(ingresses)
    made.merge(item for item in ingresses if rules[item.key].canary is not None)
    for server in made.servers.values():
        server.locations.sort(key=lambda item: item.path, reverse=True)
        server.locations.sort(key=lambda item: len(item.path), reverse=True)
        server.locations = _updated(server.locations)
    return Site(made.servers, _redirects(made.servers), tuple(refused))


class _Builder:
    def __init__(self, objects: Objects, rules: dict[ObjectKey, Rules], *, lenient: bool) -> None:
        self._objects = objects
        self._rules = rules
        self._lenient = lenient
        self._upstreams: dict[tuple[str, ...], Upstream] = {}
        root = Location("/", exact=False, rules=Rules(), place=("", ""), upstream=None, implied=True)
        self.servers = {DEFAULT_SERVER: Server(DEFAULT_SERVER, [root])}

    def upstreams(self, ingresses: Iterable[Ingress]) -> None:
        """`createUpstreams`: who names a port first says whether it is a canary's."""
        for item in ingresses:
            if item.default_backend is not None:
                self._upstreams[self._name(item, item.default_backend)] = self._made(item, item.default_backend)
            for _, _, path in _paths(item):
                service = path.backend.of_service()
                if service is not None and self._name(item, service) not in self._upstreams:
                    self._upstreams[self._name(item, service)] = self._made(item, service)

    def create(self, ingresses: Iterable[Ingress]) -> None:
        """The first half of `createServers`: who names a host first has its `/`."""
        for item in ingresses:
            rules, default = self._rules[item.key], item.default_backend
            if rules.canary is not None:
                continue
            upstream = self._upstreams[self._name(item, default)] if default is not None else None
            root = self.servers[DEFAULT_SERVER].locations[0]
            if upstream is not None and root.implied and not item.spec.rules:
                root.implied, root.upstream = False, upstream
                root.place = (str(item.key), "spec.defaultBackend")
                # "Redirect and rewrite can affect the catch all behavior, skip for now"
                root.rules = replace(
                    rules, url="", code=0, www=False, target="", regex=False, app_root="",
                    ssl_redirect=False, force_ssl=False, keep_slash=False,
                )  # fmt: skip
            for number, rule in enumerate(item.spec.rules):
                host = rule.host or DEFAULT_SERVER
                if host in self.servers:
                    continue
                field_name = "spec.defaultBackend" if upstream is not None else f"spec.rules[{number}].host"
                place = (str(item.key), field_name)
                made = Location("/", exact=False, rules=rules, place=place, upstream=upstream, implied=True)
                self.servers[host] = Server(host, [made], passthrough=rules.passthrough)

    def certify(self, ingresses: Iterable[Ingress]) -> None:
        """The second half of `createServers`: aliases, and the first certificate that there is for a host."""
        aliases: dict[str, tuple[str, ...]] = {}
        for item in ingresses:
            rules = self._rules[item.key]
            if rules.canary is not None:
                continue
            for rule in item.spec.rules:
                server = self.servers[rule.host or DEFAULT_SERVER]
                aliases[server.name] = aliases.get(server.name, ()) or rules.aliases
                server.passthrough |= rules.passthrough
                server.certified |= server.name != DEFAULT_SERVER and _is_certified(server.name, item, self._objects)
        for name, found in aliases.items():
            server = self.servers[name]
            server.aliases = tuple(item for item in found if item not in self.servers)

    def fill(self, ingresses: Iterable[Ingress]) -> None:
        """`getBackendServers`: the first of two locations with the same path and type stays."""
        for item in ingresses:
            rules = self._rules[item.key]
            for rule in item.spec.rules:
                server = self.servers.get(rule.host or DEFAULT_SERVER, self.servers[DEFAULT_SERVER])
                if rule.http is None and server.name != DEFAULT_SERVER:
                    continue
                server.client_error |= rules.client_error
                server.client = server.client or rules.client
            for host, place, path in _paths(item):
                server = self.servers.get(host or DEFAULT_SERVER, self.servers[DEFAULT_SERVER])
                service = path.backend.of_service()
                upstream = self._upstreams[self._name(item, service)] if service is not None else None
                if upstream is not None and upstream.policy is None:
                    _add(server, path, (str(item.key), place), rules, upstream)

    def merge(self, canaries: Iterable[Ingress]) -> None:
        """`mergeAlternativeBackends`: a canary takes a part of what the same path of another Ingress has."""
        for item in canaries:
            for host, _, path in _paths(item):
                server, service = self.servers.get(host or DEFAULT_SERVER), path.backend.of_service()
                if server is None or service is None:
                    continue
                other = self._upstreams[self._name(item, service)]
                for location in server.locations:
                    if location.upstream is other:
                        break
                    same = location.path == (path.path or "/") and location.exact == (path.path_type == "Exact")
                    if same and location.upstream is not None and location.upstream.policy is None:
                        location.upstream.alternatives.append(other)

    def _name(self, item: Ingress, service: IngressServiceBackend) -> tuple[str, ...]:
        """`upstreamName`: a port that is named and the same by its number are two."""
        found = item.namespace, service.name, service.port.name or str(service.port.number)
        return (*found, "canary") if self._lenient and self._rules[item.key].canary is not None else found

    def _made(self, item: Ingress, service: IngressServiceBackend) -> Upstream:
        named = f"{service.name}:{service.port.name or service.port.number}"
        return Upstream(self._backend(item.namespace, service), named, self._rules[item.key].canary)

    def _backend(self, namespace: str, service: IngressServiceBackend) -> str:
        """The port that is meant; one of a Service that is not known is taken to be there."""
        known = self._objects.services.get((namespace, service.name))
        port, name = service.port.number, service.port.name
        if known is None:
            return f"{namespace}/{service.name}:{port or name}"
        if known.spec.type == "ExternalName":
            host = known.spec.external_name.rstrip(".").lower()
            inside = _OF_CLUSTER.fullmatch(host)
            port = _external_port(known, service)
            if not port:
                return ""
            return f"{inside[2]}/{inside[1]}:{port}" if inside is not None else f"{host}:{port}"
        wanted = name or str(port)
        port = next((item.port for item in known.spec.ports if wanted in _known_as(item)), 0)
        if not port:
            return ""
        return f"{namespace}/{service.name}:{port}"


def _known_as(port: ServicePort) -> tuple[str, ...]:
    """What an Ingress may call a port: the first that is called so is meant (`serviceEndpoints`)."""
    return str(port.port), port.name, "" if port.target_port is None else str(port.target_port)


def _external_port(service: Service, asked: IngressServiceBackend) -> int:
    """`externalNamePorts`: a port that the Service has, by its `targetPort`, else the number itself; 0: none."""
    port, name = asked.port.number, asked.port.name
    for item in service.spec.ports:
        if (name and item.name == name) or (port and item.port == port):
            return item.target_port if isinstance(item.target_port, int) and item.target_port else item.port
    return port


def _paths(item: Ingress) -> Iterable[tuple[str, str, HTTPIngressPath]]:
    """Host, field and path of each path."""
    for number, rule in enumerate(item.spec.rules):
        for index, path in enumerate(rule.http.paths if rule.http is not None else ()):
            yield rule.host, f"spec.rules[{number}].http.paths[{index}]", path


def _add(server: Server, path: HTTPIngressPath, place: tuple[str, str], rules: Rules, upstream: Upstream) -> None:
    text, exact = path.path or "/", path.path_type == "Exact"
    for there in server.locations:
        if there.path != text:
            continue
        if there.exact != exact:
            break  # only the first of a path is looked at
        if there.implied:
            there.implied, there.upstream, there.rules, there.place = False, upstream, rules, place
            server.www |= rules.www
        return
    server.locations.append(Location(text, exact, rules, place, upstream))
    server.www |= rules.www


def _is_certified(host: str, item: Ingress, objects: Objects) -> bool:
    """`extractTLSSecretName`: by the names of `spec.tls`, else by those of the certificates.

    A certificate that is not known is taken to have the names that it is listed for, and to fit where none are listed.
    """
    for entry in item.spec.tls:
        if host.lower() in {name.lower() for name in entry.hosts}:
            return True  # without a Secret it is the controller's own certificate
    wildcard = f"*.{host.partition('.')[2]}"
    for entry in item.spec.tls:
        names = objects.certificates.get((item.namespace, entry.secret_name))
        if names is not None and {host.lower(), wildcard} & {name.lower() for name in names}:
            return True
        if names is None and entry.secret_name and (not entry.hosts or wildcard in entry.hosts):
            return True
    return False


def _updated(locations: list[Location]) -> list[Location]:
    """`updateServerLocations`: the prefix `/foo` is the location `/foo/` and the exact one `/foo`."""
    exact = {item.path for item in locations if item.exact}
    found: list[Location] = []
    for item in locations:
        if item.path == "/" or item.exact or item.rewrites or item.rules.regex:
            found.append(item)
            continue
        found.append(replace(item, path=item.path if item.path.endswith("/") else f"{item.path}/"))
        if item.path not in exact:
            found.append(replace(item, exact=True))
    return found


def _redirects(servers: dict[str, Server]) -> dict[str, tuple[str, bool]]:
    """`BuildRedirects`: a host with its `www.`, or without it, unless that is a server of its own."""
    found: dict[str, tuple[str, bool]] = {}
    for server in servers.values():
        if not server.www or server.name == DEFAULT_SERVER:
            continue
        other = server.name.removeprefix("www.") if server.name.startswith("www.") else f"www.{server.name}"
        if other not in servers:
            found[other] = (server.name, server.certified)
    return found

"""The servers and locations that ingress-nginx 1.15 makes of Ingresses, from the manifests as they are written.

It is here to hold the converter, and the model of `migrate --verify`, against a real nginx, so it shares nothing with
either. Source: `createUpstreams`, `createServers`, `getBackendServers`, `mergeAlternativeBackends` of
`internal/ingress/controller/controller.go`, `updateServerLocations` of `location.go`, `BuildRedirects`.

Values that the controller would refuse are not for it: nginx never sees them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from nginx_annotations import Annotations, Document

CLASS = "kubernetes.io/ingress.class"
DEFAULT_SERVER = "_"
#: What the catch-all location does not take from its Ingress, which is all of redirects and rewrites.
_NOT_OF_ALL = frozenset(
    {
        *(f"{kind}-redirect{code}" for kind in ("permanent", "temporal") for code in ("", "-code")),
        *("from-to-www-redirect", "rewrite-target", "use-regex", "app-root", "preserve-trailing-slash"),
    }
)
#: One of these costs an Ingress that comes to a controller that takes no `Critical` risks.
SNIPPETS = ("configuration-snippet", "server-snippet", "auth-snippet", "stream-snippet", "modsecurity-snippet")


@dataclass(eq=False)
class Upstream:
    """A port of a Service, which several locations may name; its canary is that of all of them.

    Attributes:
        backend: `namespace/service:port`.
        canary: whose it is, if it is a canary's.
        alternative: the canary that takes a part of its requests.
    """

    backend: str
    canary: Annotations | None = None
    alternative: Upstream | None = None

    @property
    def name(self) -> str:
        """What nginx calls it."""
        return re.sub(r"[/:]", "-", self.backend)

    @property
    def is_there(self) -> bool:
        """Whether the Service has the port; without it there is no endpoint."""
        return not self.backend.endswith(":0")


@dataclass(eq=False)
class Location:
    """A location.

    Attributes:
        upstream: None: the controller's own 404.
        ingress: `namespace/name`; empty: nobody's.
        implied: no Ingress has its path.
    """

    path: str
    exact: bool
    annotations: Annotations
    upstream: Upstream | None
    ingress: str = ""
    implied: bool = False

    @property
    def rewrites(self) -> bool:
        """Whether its target is another path than its own (`needsRewrite`)."""
        target = self.annotations.text("rewrite-target")
        return bool(target) and target != self.path


@dataclass(eq=False)
class Server:
    """A server; `certified`: a certificate is known for it, be it the controller's own."""

    name: str
    locations: list[Location] = field(default_factory=list)
    aliases: list[str] = field(default_factory=list)
    certified: bool = False
    passthrough: bool = False
    www: bool = False

    @property
    def regex(self) -> bool:
        """Whether its locations are expressions: one is enough for all."""
        return any(item.rewrites or item.annotations.flag("use-regex") for item in self.locations)


@dataclass(frozen=True)
class Path:
    """A path of an Ingress."""

    host: str
    path: str
    exact: bool
    upstream: Upstream


class Site:
    """What the controller has in hand.

    Attributes:
        settings: of its ConfigMap.
        config_maps: data of others, by `namespace/name`.
        servers: by name.
        redirects: hosts that only send to another one.
        upstreams: by `namespace/service:port`.
    """

    def __init__(self, documents: Iterable[Document], config_map: str = "") -> None:
        """Put together what manifests say; `config_map`: `namespace/name` of the settings."""
        found = [item for item in documents if item]
        maps = [item for item in found if item["kind"] == "ConfigMap"]
        self.config_maps: dict[str, dict[str, str]] = {name_of(item): item.get("data") or {} for item in maps}
        self.settings = self.config_maps.get(config_map, {})
        self._services = {name_of(item): item for item in found if item["kind"] == "Service"}
        self.upstreams: dict[str, Upstream] = {}
        # What nobody has is not sent to https either, whatever the settings say.
        nobody = Annotations({"metadata": {}}).without(())
        root = Location("/", exact=False, annotations=nobody, upstream=None, implied=True)
        self.servers = {DEFAULT_SERVER: Server(DEFAULT_SERVER, [root])}
        # Of those of one second the last one by name is the first (`sortIngressSlice`).
        ingresses = sorted((item for item in found if item["kind"] == "Ingress"), key=name_of, reverse=True)
        ingresses.sort(key=_age)
        self._ingresses = [(item, Annotations(item)) for item in ingresses]
        self._ingresses = [pair for pair in self._ingresses if self._serves(*pair)]
        self._make_upstreams()
        self._make_servers()
        self._fill()
        self._merge_canaries()
        for server in self.servers.values():
            server.locations.sort(key=lambda item: item.path, reverse=True)
            server.locations.sort(key=lambda item: len(item.path), reverse=True)
            server.locations = list(_updated(server.locations))
        self.redirects = self._redirects()

    def _serves(self, ingress: Document, annotations: Annotations) -> bool:
        name = ingress["spec"].get("ingressClassName") or annotations.written.get(CLASS, "")
        risky = self.settings.get("annotations-risk-level", "High") == "Critical"
        redirects = all(annotations.is_valid(kind) for kind in ("permanent-redirect", "temporal-redirect"))
        return name in {"", "nginx"} and redirects and (risky or not annotations.has(*SNIPPETS))

    def _upstream(self, ingress: Document, backend: Document) -> Upstream | None:
        """The port of a Service that a backend names; None: it names none."""
        service = backend.get("service") or {"name": backend.get("serviceName"), "port": backend.get("servicePort")}
        if not service["name"]:
            return None
        name = f"{ingress['metadata'].get('namespace', 'default')}/{service['name']}"
        port = service["port"]
        port = port.get("number") or port.get("name") if isinstance(port, dict) else port
        key = f"{name}:{self._number(name, port)}"
        return self.upstreams.setdefault(key, Upstream(key))

    def _number(self, service: str, port: int | str) -> int | str:
        """The number of a port, by it, its name or that of the container; 0: the Service has none like it."""
        known = self._services.get(service)
        if known is None:
            return port  # one that is not given is taken to be there
        ports = known["spec"].get("ports") or ()
        names = [{str(item["port"]), item.get("name"), str(item.get("targetPort"))} for item in ports]
        return next((item["port"] for item, known_as in zip(ports, names, strict=True) if str(port) in known_as), 0)

    def _paths(self, ingress: Document) -> Iterator[Path]:
        for rule in ingress["spec"].get("rules") or ():
            for item in (rule.get("http") or {}).get("paths") or ():
                upstream = self._upstream(ingress, item["backend"])
                if upstream is not None:
                    kind = item.get("pathType") == "Exact"
                    yield Path(rule.get("host") or DEFAULT_SERVER, item.get("path") or "/", kind, upstream)

    def _default(self, ingress: Document) -> Upstream | None:
        backend = ingress["spec"].get("defaultBackend") or ingress["spec"].get("backend")
        return self._upstream(ingress, backend) if backend else None

    def _make_upstreams(self) -> None:
        """Who names a port first says whether it is a canary's."""
        seen: set[str] = set()
        for ingress, said in self._ingresses:
            own = self._default(ingress)
            named = [item.upstream for item in self._paths(ingress) if item.upstream.backend not in seen]
            for upstream in (*([own] if own is not None else ()), *named):
                upstream.canary = said if said.flag("canary") else None
                seen.add(upstream.backend)

    def _make_servers(self) -> None:
        for ingress, said in self._ingresses:
            if said.flag("canary"):
                continue
            own = self._default(ingress)
            rules = ingress["spec"].get("rules") or ()
            root = self.servers[DEFAULT_SERVER].locations[0]
            if own is not None and not rules and root.implied:
                root.upstream, root.implied, root.ingress = own, False, name_of(ingress)
                root.annotations = said.without(_NOT_OF_ALL)
            for rule in rules:
                name = rule.get("host") or DEFAULT_SERVER
                if name not in self.servers:
                    location = Location(
                        "/", exact=False, annotations=said, upstream=own, ingress=name_of(ingress), implied=True
                    )
                    self.servers[name] = Server(name, [location])
                server = self.servers[name]
                server.aliases = server.aliases or sorted(set(said.words("server-alias")))
                server.passthrough |= said.flag("ssl-passthrough")
                server.certified |= name != DEFAULT_SERVER and _certified(name, ingress)
        for server in self.servers.values():
            server.aliases = [item for item in server.aliases if item not in self.servers]

    def _fill(self) -> None:
        """The first of two locations with the same path and type stays."""
        for ingress, said in self._ingresses:
            for path in self._paths(ingress):
                if path.upstream.canary is not None:
                    continue
                server = self.servers.get(path.host, self.servers[DEFAULT_SERVER])
                made = Location(path.path, path.exact, said, path.upstream, name_of(ingress))
                first = next((item for item in server.locations if item.path == path.path), None)
                if first is None or first.exact != path.exact:
                    server.locations.append(made)
                elif first.implied:
                    server.locations[server.locations.index(first)] = made
                else:
                    continue
                server.www |= said.flag("from-to-www-redirect")

    def _merge_canaries(self) -> None:
        """A canary goes to the upstream of the location that has its path and type, and the first one stays."""
        for ingress, said in self._ingresses:
            if not said.flag("canary"):
                continue
            own = self._default(ingress)
            for item in self.servers[DEFAULT_SERVER].locations if own is not None else ():
                _merge(item.upstream, own)
            for path in self._paths(ingress):
                server = self.servers.get(path.host)
                for item in server.locations if server is not None else ():
                    if (item.path, item.exact) == (path.path, path.exact):
                        _merge(item.upstream, path.upstream)

    def _redirects(self) -> dict[str, str]:
        """A host with its `www.`, or without it, unless that is a server of its own."""
        found = {}
        for name, server in self.servers.items():
            other = name.removeprefix("www.") if name.startswith("www.") else f"www.{name}"
            if server.www and name != DEFAULT_SERVER and other not in self.servers:
                found[other] = name
        return found


def name_of(item: Document) -> str:
    """`namespace/name` of an object."""
    return f"{item['metadata'].get('namespace', 'default')}/{item['metadata']['name']}"


def _age(ingress: Document) -> str:
    return str(ingress["metadata"].get("creationTimestamp") or "")


def _certified(host: str, ingress: Document) -> bool:
    """Whether `spec.tls` lists a host; an entry without hosts is for those that its certificate has."""
    entries = ingress["spec"].get("tls") or ()
    wildcard = f"*.{host.partition('.')[2]}"
    listed = any(host in (entry.get("hosts") or ()) for entry in entries)
    return listed or any(
        entry.get("secretName") and (not entry.get("hosts") or wildcard in entry["hosts"]) for entry in entries
    )


def _merge(primary: Upstream | None, other: Upstream | None) -> None:
    if primary is None or other is None or primary is other or primary.canary is not None:
        return
    primary.alternative = primary.alternative or other


def _updated(locations: list[Location]) -> Iterator[Location]:
    """The prefix `/foo` becomes `/foo/` and the exact `/foo`, unless there is one."""
    exact = {item.path for item in locations if item.exact}
    for item in locations:
        if item.path == "/" or item.exact or item.rewrites or item.annotations.flag("use-regex"):
            yield item
            continue
        yield replace(item, path=item.path if item.path.endswith("/") else f"{item.path}/")
        if item.path not in exact:
            yield replace(item, exact=True)

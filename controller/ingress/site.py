"""Hosts and their locations, as the source's controller merges them from all Ingresses.

Rules of ingress-nginx (`internal/ingress/controller/controller.go`, `createServers` and `getBackendServers`); what
another controller does otherwise its provider says (`traits`, `refused_host`, `rank`):
- Ingresses are taken oldest first. Of two locations of a host with the same path and type the first stays.
- The Ingress that names a host first owns it: what is about the whole host is the owner's, and its annotations hold for
  `/` where no Ingress has that path.
- `spec.defaultBackend` is `/` of the hosts that its Ingress owns; of an Ingress without rules, of every other host,
  and there it goes before a rule for `/` of an older one.
- A host with regular expressions has nothing else: one Ingress makes those of all others expressions too.
- A host has one certificate, that of the first Ingress that has one for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..api import ObjectKey
from ..api.ingress import HTTPIngressPath, Ingress, IngressServiceBackend
from ..api.names import is_subdomain
from .backends import Backend, backend_of
from .certificates import Certificates
from .features import (
    Aliases,
    Canary,
    ClientCertificates,
    ExactPaths,
    Features,
    Passthrough,
    RegexPaths,
    Rewrite,
)
from .hosts import CanaryBackend, Host, Location, PathKind
from .inventory import Inventory
from .losses import Aspect, Cause, Fate, Ledger
from .options import Options
from .provider import Provider
from .settings import Settings
from .wider_hosts import go_on

_KINDS: dict[str, PathKind] = {"Exact": "Exact", "Prefix": "Prefix", "ImplementationSpecific": "Prefix", "": "Prefix"}

#: What answers differ in where a name has no certificate that it had.
_CERTIFIED: tuple[Aspect, ...] = ("redirect", "redirect-status", "answer-fields")


class Site:
    """All hosts, by name; built of Ingresses one by one, in their order."""

    def __init__(
        self,
        features: Mapping[ObjectKey, Features],
        of_services: Mapping[tuple[ObjectKey, str], Features],
        provider: Provider,
        settings: Settings,
        inventory: Inventory,
        ledger: Ledger,
        options: Options,
    ) -> None:
        """Begin without hosts; features are those of Ingresses, and of the paths of each of their Services."""
        self.hosts: dict[str, Host] = {}
        self._features = features
        self._of_services = of_services
        #: Other names of hosts, and whose they are.
        self._aliases: dict[str, str] = {}
        self._aliased: set[str] = set()
        #: What is told of a name where a host has a certificate that the name is not served with.
        self._lent: list[tuple[Aliases, str, str, Fate, str]] = []
        self._by_backend: dict[tuple[str, Backend | None], list[tuple[Host, Location]]] = {}
        self._policies: dict[tuple[str, Backend], tuple[Ingress, Canary]] = {}
        self._refused: set[tuple[ObjectKey, str]] = set()
        self._provider = provider
        self._settings = settings
        self._inventory = inventory
        self._ledger = ledger
        crosses = "allow-cross-namespace-resources"
        self._crosses = crosses in settings.names and settings.is_written(crosses) and settings.flag(crosses)
        default, names = options.default_certificate, options.certificate_names
        self._certificates = Certificates(default, provider.title, inventory, ledger, names)

    def build(self, ingresses: tuple[Ingress, ...]) -> None:
        """Take Ingresses, the canaries of others last."""
        canaries = [item for item in ingresses if self._features[item.key].get(Canary) is not None]
        primaries = [item for item in ingresses if self._features[item.key].get(Canary) is None]
        ranked = sorted(primaries, key=self._provider.rank)
        # A controller that answers `/` of each host by itself knows who does so for all others before it reads paths.
        early = self._provider.traits.answers_everywhere
        for item in ranked if early else ():
            self._take_default(item)
        for item in ranked:
            self._take(item)
            if not early:
                self._take_default(item)
        for item in primaries:
            self._certificates.give(item, (self.hosts[name] for name in self._named(item) if name))
            self._alias(item)
            self._ask_clients(item)
        self._tell_lent()
        if self._provider.traits.shows_certificate:
            self._certificates.share(self.hosts)
        for item in canaries:
            feature = self._features[item.key].get(Canary)
            if feature is not None:
                self._take_canary(item, feature)
        if self._provider.traits.longest_rule_first:
            go_on(self.hosts)
        for host in self.hosts.values():
            host.regex = next(filter(None, map(_regex_cause, (*host.locations, *host.hidden))), None)

    def _take(self, item: Ingress) -> None:
        for number, rule in enumerate(item.spec.rules):
            at = f"spec.rules[{number}].host"
            if rule.host and not is_subdomain(rule.host.lower().removeprefix("*.")):
                cause = self._inventory.cause(item, at, rule.host)
                self._ledger.tell(
                    cause, "invalid", "it is no host: left out", "correct the name", touches=("host", "reach")
                )
                continue
            name = rule.host.lower()
            refused = self._provider.refused_host(item, self.hosts[name].owner if name in self.hosts else None)
            if refused:
                cause = self._inventory.cause(item, at, rule.host)
                self._ledger.tell(cause, "invalid", f"{refused}: it was not served", "put them together", host=name)
                self._refused.add((item.key, name))
                continue
            if rule.host != name:
                cause = self._inventory.cause(item, at, rule.host)
                message = "no API server takes a host in capitals: it is served in small letters"
                self._ledger.tell(cause, "invalid", message, "write small letters", host=name, touches=("host",))
            host = self._host(item, name, at)
            for index, path in enumerate(rule.http.paths if rule.http is not None else ()):
                self._add(host, item, path, f"spec.rules[{number}].http.paths[{index}]")

    def _take_default(self, item: Ingress) -> None:
        """What an Ingress without rules serves: all hosts that nobody names."""
        default = item.default_backend
        if default is None and item.has_default_backend:
            cause = self._inventory.cause(item, "spec.defaultBackend")
            self._ledger.tell(cause, "invalid", "it is no Service: it did nothing", "name a Service")
        if default is not None and not item.spec.rules:
            cause = self._inventory.cause(item, "spec.defaultBackend")
            host = self._host(item, "", "spec.defaultBackend")
            backend = self._backend(item, default, cause)
            features = self._of_services[item.key, default.name].without(self._provider.traits.not_of_all_hosts)
            self._place(host, Location(item, features, "/", "Prefix", backend, cause))

    def _host(self, item: Ingress, name: str, at: str) -> Host:
        """A host; the Ingress owns it where it is the first, and its default backend is `/` then."""
        if name in self.hosts:
            host = self.hosts[name]
            self._tell_default(host, item)
            passthrough = self._features[item.key].get(Passthrough)
            if passthrough is not None and host.features.get(Passthrough) is None:
                message = f"{host.owner.key} has the host first, and it ends TLS here"
                self._ledger.tell(passthrough.cause, "invalid", message, "keep one of the two", host=name)
            return host
        features = self._features[item.key]
        passthrough = features.get(Passthrough) if not name else None
        if passthrough is not None:
            message = "TLS is passed through by host, and this rule has none: it did nothing"
            self._ledger.tell(passthrough.cause, "invalid", message, "name the host", touches=("reach",))
            features = features.without((Passthrough,))
        host = Host(name, item, features, self._inventory.cause(item, at, name))
        self.hosts[name] = host
        if not self._provider.traits.answers_everywhere:
            return host
        default, cause = item.default_backend, self._inventory.cause(item, "spec.defaultBackend")
        if not name:
            # The controller itself has it: no Ingress that names no host has a say.
            default, features = None, Features()
        backend = None
        if default is not None:
            backend = self._backend(item, default, cause)
            features = self._of_services[item.key, default.name]
        host.put(Location(item, features, "/", "Prefix", backend, cause if default else host.cause))
        host.locations[0].implied = True
        return host

    def _tell_default(self, host: Host, item: Ingress) -> None:
        """Tell of a default backend beside rules that the host's owner leaves nothing to do."""
        default = item.default_backend
        if default is None or not host.name or host.owner.key == item.key:
            return
        cause = self._inventory.cause(item, "spec.defaultBackend")
        message = f"{host.owner.key} names the host first ({host.cause.place}): this one did nothing"
        remedy = "give the host a path / where it is meant"
        self._ledger.tell(cause, "invalid", message, remedy, host=host.name, touches=("backend",))

    def _add(self, host: Host, item: Ingress, written: HTTPIngressPath, at: str) -> None:
        path = written.path or "/"
        cause = self._inventory.cause(item, at, path)
        kind = _KINDS.get(written.path_type)
        refused = "the type of a path is Exact, Prefix or ImplementationSpecific" if kind is None else ""
        refused = refused or self._provider.refused_path(written.path_type, path, self._settings)
        if refused or kind is None:
            message = f"{refused}: it was not served"
            self._ledger.tell(cause, "invalid", message, "correct the path", host=host.name, touches=("path",))
            return
        service = written.backend.of_service()
        if service is None:
            message = "its backend is no Service: it was not served"
            self._ledger.tell(cause, "invalid", message, "name a Service", host=host.name)
            return
        backend = self._backend(item, service, cause)
        features = self._of_services[item.key, service.name]
        exact = features.get(ExactPaths)
        if exact is not None and written.path_type in exact.types:
            kind = "Exact"
        self._place(host, Location(item, features, path, kind, backend, cause))

    def _backend(self, item: Ingress, service: IngressServiceBackend, cause: Cause) -> Backend:
        by_target = self._provider.traits.takes_target_ports
        return backend_of(item.namespace, service, cause, self._inventory, self._ledger, by_target=by_target)

    def _place(self, host: Host, made: Location) -> None:
        there = host.find(made.path, made.kind)
        if there is None:
            host.put(made)
        elif there.implied:
            host.replace(there, made)
        else:
            before_rules = there.is_default and not made.is_default
            first = "by its default backend, which goes before rules" if before_rules else "first"
            message = f"{there.ingress.key} has {made.path} of this host {first} ({there.cause.place}): "
            message += "it was not served"
            self._ledger.tell(made.cause, "invalid", message, "keep one of the two", host=host.name)
            if self._provider.traits.splits_prefixes and host.hides(made):
                # No request gets to it; what it says of its host, and its canary, hold all the same.
                host.hidden.append(made)

    def _named(self, item: Ingress) -> Iterable[str]:
        """The hosts that an Ingress names, each once."""
        names = dict.fromkeys(rule.host.lower() for rule in item.spec.rules)
        return [name for name in names if name in self.hosts and (item.key, name) not in self._refused]

    def _alias(self, item: Ingress) -> None:
        aliases = self._features[item.key].get(Aliases)
        if aliases is None:
            return
        for name in filter(None, self._named(item)):
            if "" in self._named(item):
                self._tell_everybodys(aliases, self.hosts[name])
                continue
            if name in self._aliased:
                message = "another Ingress has given the host its other names already: these are none"
                self._ledger.tell(aliases.cause, "invalid", message, "put them together", host=name)
                continue
            self._aliased.add(name)
            for alias in aliases.names:
                if self.has(alias):
                    self._tell_taken(aliases, alias, name)
                    continue
                self.hosts[name].aliases[alias] = aliases.cause
                self._aliases[alias] = name

    def _tell_everybodys(self, aliases: Aliases, host: Host) -> None:
        """Tell that other names of a host are those of a rule without a host, which goes first."""
        message = "the rule without a host has these names too, and goes first: it serves them"
        remedy = "give the rule without a host an Ingress of its own"
        self._ledger.tell(
            aliases.cause, "converted-with-difference", message, remedy, host=host.name, touches=("host",)
        )
        fate: Fate = "converted-with-difference"
        self._lent += [(aliases, alias, host.name, fate, remedy) for alias in aliases.names]

    def _tell_taken(self, aliases: Aliases, alias: str, name: str) -> None:
        """Tell that another name of a host is one already."""
        what = "another name of another host" if alias in self._aliases else "a host of its own"
        message = f"{alias} is {what}: it is no other name of {name}"
        self._ledger.tell(aliases.cause, "invalid", message, "take it out", host=name)
        if alias in self._aliases:
            self._lent.append((aliases, alias, name, "invalid", "take it out"))

    def _tell_lent(self) -> None:
        """Tell that a certificate of a host was that of its other names too, which another host has."""
        for aliases, alias, name, fate, remedy in self._lent:
            owner = self.hosts.get(self._aliases.get(alias, ""))
            if self._had_certificate(name) and not (owner is not None and self._had_certificate(owner.name)):
                message = f"a certificate of {name} was its own there, and sent it to https"
                self._ledger.tell(aliases.cause, fate, message, remedy, host=alias, touches=_CERTIFIED)

    def _had_certificate(self, name: str) -> bool:
        """Whether a host has one of its own, or had that of the controller, as its Ingress names no Secret."""
        return self.hosts[name].certificate is not None or name in self._certificates.unsaid

    def _ask_clients(self, item: Ingress) -> None:
        feature = self._features[item.key].get(ClientCertificates)
        for name in self._named(item) if feature is not None else ():
            host = self.hosts[name]
            # Such a Secret is named with its namespace, which is the own one (`authtls.Parse`).
            foreign = feature is not None and feature.cause.value.rpartition("/")[0] != item.namespace
            host.refused |= foreign and self._provider.traits.splits_prefixes and not self._crosses
            if host.clients is None:
                host.clients = feature
            elif feature is not None and host.clients.secret != feature.secret:
                message = f"the host asks for certificates of {'/'.join(host.clients.secret)} already"
                self._ledger.tell(feature.cause, "invalid", message, "keep one of the two", host=name)

    def _take_canary(self, item: Ingress, feature: Canary) -> None:
        for number, rule in enumerate(item.spec.rules):
            for index, path in enumerate(rule.http.paths if rule.http is not None else ()):
                at = f"spec.rules[{number}].http.paths[{index}]"
                cause = self._inventory.cause(item, at, path.path or "/")
                host, kind = self.hosts.get(rule.host.lower()), _KINDS.get(path.path_type)
                location = host.find(path.path or "/", kind) if host is not None and kind is not None else None
                service = path.backend.of_service()
                if service is not None:
                    backend = self._backend(item, service, cause)
                    self._tell_shared(item, backend)
                    policy = self._policy(item, feature, backend, cause)
                if location is None or location.backend is None or service is None:
                    message = "no other Ingress has this host and path: a canary gets nothing by itself"
                    self._ledger.tell(cause, "invalid", message, "give it the path of the other one", host=rule.host)
                elif location.canary is not None:
                    message = f"the path has a canary already ({location.canary.cause.place}): there is one at most"
                    self._ledger.tell(cause, "invalid", message, "keep one of the two", host=rule.host)
                else:
                    taking = CanaryBackend(policy, backend, cause)
                    self._share_canary(location, taking)
                    for hidden in host.hidden if host is not None else ():
                        if (hidden.path, hidden.kind) == (location.path, location.kind):
                            self._share_canary(hidden, taking)

    def _tell_shared(self, item: Ingress, backend: Backend) -> None:
        """Tell each path whose Service is a canary's too: there it is the one's or the other's.

        Source: `createUpstreams` of ingress-nginx: whoever names a port first says whether it is a canary's.
        """
        for host, other in self._of_backend(item.namespace, backend):
            message = f"the canary {item.key} has the same Service: there either it or this path gets nothing"
            remedy = "give the canary a Service of its own"
            self._ledger.tell(other.cause, "invalid", message, remedy, host=host.name, touches=("ingress",))

    def _policy(self, item: Ingress, feature: Canary, backend: Backend, cause: Cause) -> Canary:
        """What says which part a canary's Service gets: the first canary that names it."""
        first, policy = self._policies.setdefault((item.namespace, backend), (item, feature))
        if first is not item:
            message = f"the canary {first.key} has the same Service first: what it says of its part holds here too"
            self._ledger.tell(cause, "invalid", message, "give each canary a Service of its own")
        return policy

    def _of_backend(self, namespace: str, backend: Backend | None) -> list[tuple[Host, Location]]:
        """The paths of Ingresses of a namespace that have a backend."""
        if not self._by_backend:
            for host in self.hosts.values():
                for location in host.locations:
                    key = location.ingress.namespace, location.backend
                    self._by_backend.setdefault(key, []).append((host, location))
        return self._by_backend.get((namespace, backend), [])

    def _share_canary(self, location: Location, canary: CanaryBackend) -> None:
        """A canary takes its part of all that the Service of the path gets, whatever the host and path.

        Source: `mergeAlternativeBackend` of ingress-nginx hangs it on the upstream, which all locations share.
        """
        for _, item in self._of_backend(location.ingress.namespace, location.backend):
            if item.canary is None:
                item.canary = canary

    def has(self, name: str) -> bool:
        """Whether some host has a name, its own or another one."""
        return name in self.hosts or name in self._aliases

    def __iter__(self) -> Iterator[Host]:
        """Hosts by name, the one for all others last."""
        return iter(sorted(self.hosts.values(), key=lambda item: (not item.name, item.name)))


def _regex_cause(location: Location) -> Cause | None:
    """What makes the paths of a location's host expressions; None: it does not."""
    regex = location.features.get(RegexPaths)
    if regex is not None:
        return regex.cause
    rewrite = location.features.get(Rewrite)
    return rewrite.cause if rewrite is not None and rewrite.target != location.path else None

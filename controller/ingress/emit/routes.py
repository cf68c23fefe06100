"""Routes: for each Ingress and host what is served, and what is redirected.

- `NAME` serves over TLS; over plain HTTP too where nothing is different there. Else `NAME-http` serves over HTTP.
- `NAME-to-https` sends requests of plain HTTP to HTTPS.
- `NAME-redirects` has all other redirects, at both ports. In nginx these come before any policy, here policies come
  first: so none is attached to these routes.
- `NAME-open` and the others of that name have the paths where nobody is asked for credentials.
A route has 16 rules and 127 matches at most: what is more stands in `NAME-02` and so on, which sort behind it as they
have to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from ...api.ingress import Ingress
from ..features import (
    Addresses,
    BasicAuth,
    Closed,
    ExternalAuth,
    Features,
    HttpsRedirect,
    Passthrough,
    Redirect,
    StrictTransport,
)
from ..hosts import Host, Location
from ..losses import Cause
from ..site import Site
from .authorization import too_many_rules
from .canaries import with_canary
from .carried import of_routes
from .clients import Clients
from .differences import nginx_order, tell_differences
from .external import asked
from .grpc import as_grpc, grpc_methods
from .listeners import HTTP, HTTPS, Entry, Listeners, www_of
from .manifest import Manifest, slug, unique
from .output import GATEWAY_GROUP, Output, Target, route_target
from .passthrough import emit_passthrough
from .policies import For, emit_policies
from .redirects import app_root, leads_away, redirected, roots, slash
from .rule_features import At, apply, leads_elsewhere
from .rules import RuleDraft, backend_reference, path_match, started

#: Of a route: rules, matches of one of them, matches of all of them, hostnames.
MAX_RULES, MAX_MATCHES, MAX_ALL_MATCHES, MAX_HOSTNAMES = 16, 64, 127, 16
Rules = Sequence[tuple[dict[str, Any], tuple[Cause, ...]]]
_FORWARDED = {"name": "X-Forwarded-Proto", "value": "https"}


class _Part(NamedTuple):
    """A location with its rules.

    Attributes:
        location: it.
        rules: that serve it.
        sent: what sends its requests of plain HTTP to HTTPS; None: they are served.
    """

    location: Location
    rules: list[RuleDraft]
    sent: HttpsRedirect | None


def emit_host(host: Host, site: Site, listeners: Listeners, clients: Clients, output: Output) -> None:
    """Make the routes of a host, and their policies."""
    tell_differences(host, listeners, output)
    passthrough = host.features.get(Passthrough)
    if passthrough is not None:
        emit_passthrough(host, passthrough, listeners, output)
        return
    grpc = grpc_methods(host, output)
    owners: dict[tuple[str, bool], list[Location]] = {}
    for location in sorted(host.locations, key=nginx_order):
        owners.setdefault((str(location.ingress.key), location.asks_nobody), []).append(location)
    asking = roots(host)
    # What asks first may have nothing else of the host; then any other's routes have it, as no policy is theirs.
    first = str(asking[0].ingress.key) if asking else ""
    sender = next((key for key in ((first, False), (first, True)) if key in owners), next(iter(owners), None))
    for start in range(0, len(host.names), MAX_HOSTNAMES):
        names = host.names[start : start + MAX_HOSTNAMES]
        for owner, locations in owners.items():
            sending = asking if owner == sender else ()
            _Routes(host, names, locations, listeners, clients, output, grpc=grpc, asking=sending).emit()
    other = www_of(host, site)
    if other is not None:
        name, feature = other
        rule = {"filters": [_redirect(hostname=host.name, statusCode=feature.status)]}
        parents = [item for port in (HTTP, HTTPS) if (item := listeners.get(name, port)) is not None]
        root = Location(host.owner, host.features, "/", "Prefix", None, host.cause)
        routes = _Routes(host, [name], [root], listeners, clients, output)
        routes.write("HTTPRoute", (), parents, [name], [(rule, feature.causes)])


def _redirect(**content: Any) -> dict[str, Any]:  # noqa: ANN401 (any content of the filter)
    return {"type": "RequestRedirect", "requestRedirect": content}


class _Routes:
    """The routes of one Ingress for names of one host: as many as a route has room for."""

    def __init__(
        self,
        host: Host,
        names: Sequence[str],
        locations: Sequence[Location],
        listeners: Listeners,
        clients: Clients,
        output: Output,
        *,
        grpc: bool = False,
        asking: Sequence[Location] = (),
    ) -> None:
        """Take names of the host, locations of one Ingress in their order, what these routes send `/` elsewhere for."""
        self._roots = asking
        self._host = host
        self._locations = locations
        self._ingress: Ingress = locations[0].ingress
        # What nobody has written has nothing of an Ingress where no host is named: no policy may go by it.
        written = next((item for item in locations if not item.implied), locations[0])
        is_open = written.asks_nobody
        self._features: Features = _without_credentials(written.features) if is_open else written.features
        self._kept_apart = ("open",) if is_open else ()
        self._clients = clients
        self._output = output
        self._grpc = grpc
        self._label = slug(names[0])
        self._hostnames = [name for name in names if name]
        self._http = [item for name in names if (item := listeners.get(name, HTTP)) is not None]
        self._https = [item for name in names if (item := listeners.get(name, HTTPS)) is not None]
        self._closed = self._why_closed()
        # Where nobody is answered nobody is sent elsewhere either.
        self._refused = host.refused and bool(self._closed)

    def emit(self) -> None:
        """Make them, and their policies."""
        redirects = [rule for location in self._locations for rule in self._redirects(location)]
        redirects = [] if self._refused else [*app_root(self._roots, self._host, self._output), *redirects]
        parts = [part for location in self._locations if (part := self._part(location)) is not None]
        self._to_https((part.location, part.sent) for part in parts if part.sent is not None)
        self._write_drafts("HTTPRoute", ("redirects",), [*self._http, *self._https], redirects)
        targets = self._serve([part for part in parts if part.rules])
        if self._closed:
            return  # no policy makes it any tighter
        self._clients.emit(self._host, self._ingress, self._features, targets)
        emit_policies(self._features, For(self._ingress, self._host, targets, self._output, self._kept_apart))

    def _redirects(self, location: Location) -> Iterable[RuleDraft]:
        """What is redirected wherever it comes from."""
        slashed = slash(location, self._host, self._output) if self._output.provider.traits.adds_slash else None
        found = slashed, redirected(location, self._host, self._output)
        return [rule for rule in found if rule is not None]

    def _part(self, location: Location) -> _Part | None:
        sent = location.features.get(HttpsRedirect)
        if sent is not None:
            exempt = any(location.path.startswith(path) for path in sent.exempt)
            secured = self._host.certificate is not None
            sent = None if exempt or self._refused or not (sent.forced or secured) else sent
        if location.features.get(Redirect) is not None or leads_away(location, self._host):
            return None
        rules: list[RuleDraft] = []
        if location.backend is not None or leads_elsewhere(location):
            rule = started(location, self._host, self._output)
            if rule is None:
                return None
            own = location.features.get(Closed)
            closed = self._closed or (own.causes if own is not None else ())
            rule.causes += closed
            rules = [rule] if closed else self._filled(rule, location)
        return _Part(location, rules, sent)

    def _why_closed(self) -> tuple[Cause, ...]:
        """Why nobody may be let in anywhere; empty: there is no reason. A path may have one of its own."""
        closed = [location.features.get(Closed) for location in self._locations]
        if closed[0] is not None and None not in closed:
            return closed[0].causes
        external = self._features.get(ExternalAuth)
        if self._host.clients is not None and self._clients.closed(self._host, self._features):
            return self._host.clients.causes
        crowded = too_many_rules(self._features, self._host, self._output)
        if crowded:
            return crowded
        if external is not None and not asked(external, self._ingress, self._host, self._output):
            return external.causes
        return ()

    def _filled(self, rule: RuleDraft, location: Location) -> list[RuleDraft]:
        """The rules that serve a location: one, and more where a canary takes a part."""
        backend = location.backend
        if backend is not None and backend.port:
            rule.backends = [backend_reference(location, backend, (location.cause,), self._output)]
        apply(rule, At(location, self._host, self._output))
        return with_canary(rule, location, self._host, self._output)

    def _serve(self, parts: Sequence[_Part]) -> list[Target]:
        """Make the routes that serve; returns them."""
        strict = self._features.get(StrictTransport)
        strict = strict if self._https else None
        over_http: list[RuleDraft] = []
        for part in parts:
            if part.sent is None:
                over_http += part.rules
            elif part.sent.trusts:
                over_http += [_behind_tls(rule) for rule in part.rules]
        over_https = [rule for part in parts for rule in part.rules]
        same = strict is None and all(part.sent is None for part in parts)
        if same or not self._https:
            entries = [*self._http, *self._https] if same else self._http
            return self._write_drafts(self._kind, (), entries, over_http)
        if strict is not None:
            over_https = [_strict(rule, strict) for rule in over_https]
        targets = self._write_drafts(self._kind, (), self._https, over_https)
        return [*targets, *self._write_drafts(self._kind, ("http",), self._http, over_http)]

    @property
    def _kind(self) -> str:
        return "GRPCRoute" if self._grpc else "HTTPRoute"

    def _to_https(self, parts: Iterable[tuple[Location, HttpsRedirect]]) -> None:
        """One rule for all paths: they are all sent to the same."""
        by_status: dict[int, list[tuple[Location, HttpsRedirect]]] = {}
        for location, sent in parts:
            by_status.setdefault(sent.status, []).append((location, sent))
        rules: list[tuple[dict[str, Any], tuple[Cause, ...]]] = []
        for status, found in by_status.items():
            matches: dict[str, tuple[Any, tuple[Cause, ...]]] = {}
            for location, sent in found:
                match = path_match(location, self._host, self._output)
                if match is not None:
                    matches.setdefault(repr(match), (match, unique((*sent.causes, location.cause))))
            each = list(matches.values())
            for start in range(0, len(each), MAX_MATCHES):
                some = each[start : start + MAX_MATCHES]
                content = {
                    "matches": [match for match, _ in some],
                    "filters": [_redirect(scheme="https", statusCode=status)],
                }
                rules.append((content, unique(cause for _, causes in some for cause in causes)))
        self.write("HTTPRoute", ("to-https",), self._http, self._hostnames, rules)

    def _write_drafts(
        self, kind: str, label: tuple[str, ...], entries: Sequence[Entry], drafts: Sequence[RuleDraft]
    ) -> list[Target]:
        documents = [as_grpc(item) if kind == "GRPCRoute" else item.document() for item in drafts]
        rules = [(document, unique(item.causes)) for document, item in zip(documents, drafts, strict=True)]
        return self.write(kind, label, entries, self._hostnames, rules)

    def write(
        self,
        kind: str,
        label: tuple[str, ...],
        entries: Sequence[Entry],
        hostnames: Sequence[str],
        rules: Rules,
    ) -> list[Target]:
        """Make a route with rules, or several where one has no room; returns them."""
        if not entries:
            return []
        own, targets = self._ingress.namespace, []
        for number, some in enumerate(_fitting(rules)):
            numbered = f"{number + 1:02}" if number else ""
            parts = (self._ingress.name, self._label, *self._kept_apart, *label, numbered)
            name = self._output.names.give(kind, own, *parts)
            spec: dict[str, Any] = {"parentRefs": [entry.reference(own) for entry in entries]}
            if hostnames:
                spec["hostnames"] = list(hostnames)
            spec["rules"] = [document for document, _ in some]
            causes = {f"spec.rules[{index}]": found for index, (_, found) in enumerate(some)}
            self._output.add(Manifest(kind, own, name, spec, of_routes(self._ingress), causes))
            self._grant(kind, some)
            targets.append(route_target(kind, name))
        return targets

    def _grant(self, kind: str, rules: Iterable[tuple[dict[str, Any], tuple[Cause, ...]]]) -> None:
        """Backends of other namespaces: those of a canary."""
        for document, causes in rules:
            for backend in document.get("backendRefs", ()):
                if "namespace" in backend:
                    source = (GATEWAY_GROUP, kind, self._ingress.namespace)
                    what = backend.get("kind", "Service")
                    self._output.grant(source, what, backend["namespace"], backend["name"], causes)


def _fitting(rules: Rules) -> Iterator[Rules]:
    """Rules in pieces that a route has room for."""
    found: list[tuple[dict[str, Any], tuple[Cause, ...]]] = []
    matches = 0
    for rule in rules:
        count = len(rule[0].get("matches", ())) or 1
        if found and (len(found) == MAX_RULES or matches + count > MAX_ALL_MATCHES):
            yield found
            found, matches = [], 0
        found.append(rule)
        matches += count
    if found:
        yield found


def _without_credentials(features: Features) -> Features:
    """The same where nobody is asked for credentials: an address spares nobody any, and has to be allowed."""
    kept = features.without((BasicAuth, ExternalAuth))
    return Features(replace(item, suffices=False) if isinstance(item, Addresses) else item for item in kept)


def _behind_tls(rule: RuleDraft) -> RuleDraft:
    """The same for requests whose TLS ended in front."""
    made = rule.copy()
    made.match = {**made.match, "headers": [*made.match.get("headers", ()), _FORWARDED]}
    return made


def _strict(rule: RuleDraft, feature: StrictTransport) -> RuleDraft:
    """The same for requests over TLS: answers say that the host wants it."""
    made = rule.copy()
    made.response.setdefault("strict-transport-security", ("Strict-Transport-Security", feature.value))
    made.causes += feature.causes
    return made

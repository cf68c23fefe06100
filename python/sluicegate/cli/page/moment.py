"""What is so at one moment: the facts, each made when it is asked for and kept while nothing changes."""

from __future__ import annotations

import functools
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from sluicegate import ir
from sluicegate.checks import native_checks
from sluicegate.controller.api import (
    POLICY_KINDS,
    ROUTE_KINDS,
    Diagnostic,
    ObjectKey,
    PolicySpec,
    RefusedPolicy,
    placed_at,
)
from sluicegate.controller.translate import ir_transaction, to_document
from sluicegate.controller.translate.lost_hostnames import lost_hostnames
from sluicegate.controller.translate.policies.effective import Target
from sluicegate.controller.translate.secrets import EXPIRY_WARNING_SECONDS
from sluicegate.controller.translate.shadowed import shadowed_matches
from sluicegate.ir.join import join
from sluicegate.processes.serve.summary import describe_backends, describe_match, url_of
from sluicegate.processes.viewed import Viewed, Written
from sluicegate.testing.request import Connection, Request
from sluicegate.testing.table import Table

from ..explanation import Explanation, explain
from ..origins import origin_of, place_of
from ..status_report import ObjectStatus, bad_conditions, object_status
from .facts import (
    BackendFacts,
    BackendShare,
    CertificateFacts,
    EndpointFacts,
    GatewayFacts,
    GenerationFacts,
    HoldingPolicy,
    ListenerFacts,
    MatchFacts,
    PolicyFacts,
    RouteDetail,
    RouteFacts,
    RuleFacts,
)
from .links import Row, Rows
from .ranked import Ranking

#: Kinds that have listeners, or say who controls them.
_PARENTS = ("GatewayClass", "Gateway", "ListenerSet")
_DAY = 86_400
#: Listeners of a rule whose policies are said one by one.
_SHOWN_LISTENERS = 8

_serials = itertools.count(1)


class Moment:
    """The facts of one moment; asked on one thread at a time.

    Attributes:
        viewed: what they are made of.
        serial: another one, other facts.
    """

    def __init__(self, viewed: Viewed) -> None:
        """Make nothing yet."""
        self.viewed = viewed
        self.serial = next(_serials)
        self._state = viewed.translation.ir
        self._snapshot = viewed.translation.snapshot

    def is_of(self, viewed: Viewed) -> bool:
        """Whether it is the same moment, but for the pods."""
        mine = self.viewed
        return mine.translation is viewed.translation and mine.diagnostics == viewed.diagnostics

    # --- What is wrong --------------------------------------------------------------------------------------------

    @functools.cached_property
    def problems(self) -> tuple[Diagnostic, ...]:
        """All that is to be told, the worst first; what gets nothing because of others is said too."""
        found = {*self.viewed.diagnostics, *self._lost}
        ranks = {"error": 0, "warning": 1, "info": 2}
        return tuple(sorted(found, key=lambda item: (ranks[item.severity], item.object, item.path, item.line)))

    @functools.cached_property
    def _lost(self) -> tuple[Diagnostic, ...]:
        state = self._state
        matches = shadowed_matches(state.http_rules.values(), state.attachments)
        hostnames = lost_hostnames(state.listeners, self._all_rules, state.attachments)
        return tuple(self.viewed.with_lines(self._at_place(item) for item in (*matches, *hostnames)))

    @property
    def _all_rules(self) -> list[ir.HttpRule | ir.L4Rule]:
        return [*self._state.http_rules.values(), *self._state.l4_rules.values()]

    def _at_place(self, item: Diagnostic) -> Diagnostic:
        origin = self._snapshot.origin(ObjectKey.parse(item.object))
        return placed_at(item, origin) if origin is not None else item

    @functools.cached_property
    def _problems_of(self) -> Mapping[str, tuple[Diagnostic, ...]]:
        found: dict[str, list[Diagnostic]] = defaultdict(list)
        for item in self.problems:
            found[item.object].append(item)
        return {name: tuple(items) for name, items in found.items()}

    @functools.cached_property
    def _shadowed(self) -> Mapping[tuple[str, str], str]:
        """What is told of matches that get nothing, by route and field."""
        told = (item for item in self.problems if item.code == "shadowed-route")
        return {(item.object, item.field): item.message for item in told}

    @functools.cached_property
    def _statuses(self) -> Mapping[ObjectKey, ObjectStatus]:
        keys = set(self.viewed.translation.statuses)
        told = {ObjectKey.parse(name) for name in self._problems_of if name.partition("/")[0] in _TOLD_KINDS}
        return {key: self._status(key) for key in sorted(keys | told)}

    def _status(self, key: ObjectKey) -> ObjectStatus:
        made = self.viewed.translation.statuses.get(key)
        document: dict[str, Any] = to_document(made) if made is not None else {}
        return object_status(key, document, self._problems_of.get(str(key), ()), self._snapshot.origin(key))

    # --- Gateways -------------------------------------------------------------------------------------------------

    @functools.cached_property
    def gateways(self) -> tuple[GatewayFacts, ...]:
        """GatewayClasses, Gateways and ListenerSets."""
        owned: dict[str, list[ir.Listener]] = defaultdict(list)
        for item in sorted(self._state.listeners.values(), key=lambda item: (item.bind_port, item.id)):
            owned[item.id.rpartition("/")[0]].append(item)
        found = [item for key, item in self._statuses.items() if key.kind in _PARENTS]
        found.sort(key=lambda item: (_PARENTS.index(item.object.partition("/")[0]), item.object))
        return tuple(self._gateway(item, owned.get(item.object, [])) for item in found)

    def _gateway(self, status: ObjectStatus, listeners: Sequence[ir.Listener]) -> GatewayFacts:
        by_name = {item.id.rpartition("/")[2]: item for item in listeners}
        names = dict.fromkeys([*by_name, *status.routes])
        facts = tuple(self._listener(status, name, by_name.get(name)) for name in names)
        return GatewayFacts(
            object=status.object,
            path=status.path,
            line=status.line,
            good=status.good and all(item.good for item in facts),
            addresses=status.addresses,
            conditions=tuple(item for item in status.conditions if not item.of.startswith("listener ")),
            listeners=facts,
            problems=status.problems,
        )

    def _listener(self, status: ObjectStatus, name: str, served: ir.Listener | None) -> ListenerFacts:
        identifier = f"{status.object}/{name}"
        report = self.viewed.translation.reports.get(identifier)
        error = report.error if report is not None else None
        conditions = tuple(item for item in status.conditions if item.of == f"listener {name}")
        bound = tuple(report.bound) if report is not None else ()
        return ListenerFacts(
            id=identifier,
            owner=status.object,
            gateway=served.gateway if served is not None else "",
            protocol=served.protocol.value if served is not None else "",
            port=served.port if served is not None else 0,
            bind_port=served.bind_port if served is not None else 0,
            hostname=served.hostname if served is not None else "",
            bound=bound,
            url=url_of(served, bound) if served is not None and self.viewed.role != "controller" else "",
            error=f"{error.message}; {error.hint}" if error is not None else "",
            routes=status.routes.get(name, 0),
            certificates=served.tls.certificates if served is not None and served.tls is not None else (),
            policies=served.policies if served is not None else (),
            served=served is not None,
            conditions=conditions,
            good=served is not None and error is None and all(item.good for item in conditions),
        )

    # --- Routes ---------------------------------------------------------------------------------------------------

    @functools.cached_property
    def _rules(self) -> Mapping[str, tuple[ir.HttpRule | ir.L4Rule, ...]]:
        """Rules that are served, by route."""
        found: dict[str, list[ir.HttpRule | ir.L4Rule]] = defaultdict(list)
        for rule in self._all_rules:
            found[rule.route].append(rule)
        return {route: tuple(sorted(rules, key=lambda rule: rule.index)) for route, rules in found.items()}

    @functools.cached_property
    def routes(self) -> tuple[RouteFacts, ...]:
        """All routes, in a line each."""
        found = [(key, item) for key, item in self._statuses.items() if key.kind in ROUTE_KINDS]
        return tuple(self._route(key, item) for key, item in found)

    def _route(self, key: ObjectKey, status: ObjectStatus) -> RouteFacts:
        found: Any = self._snapshot.get(key)
        spec = getattr(found, "spec", None)
        rules = self._rules.get(status.object, ())
        cause = self.viewed.ingresses.owner(key) if self.viewed.ingresses is not None else None
        namespaces = ((item.namespace or key.namespace, item) for item in getattr(spec, "parent_refs", ()))
        return RouteFacts(
            object=status.object,
            made_of=f"{cause.object} ({cause.place})" if cause is not None else "",
            path=status.path,
            line=status.line,
            hostnames=tuple(getattr(spec, "hostnames", ()) or (rules[0].hostnames if rules else ())),
            parents=tuple(dict.fromkeys(f"{item.kind}/{namespace}/{item.name}" for namespace, item in namespaces)),
            rules=len(rules),
            shadowed=sum(1 for item in status.problems if item.code == "shadowed-route"),
            good=status.good,
            why=_why(status),
        )

    def route(self, name: str) -> RouteDetail | None:
        """All that is known of a route; None: there is none of that name."""
        key = ObjectKey.parse(name)
        status = self._statuses.get(key) if key.kind in ROUTE_KINDS else None
        if status is None:
            return None
        rules = self._rules.get(status.object, ())
        return RouteDetail(
            route=self._route(key, status),
            conditions=status.conditions,
            problems=status.problems,
            served=tuple(self._rule(rule) for rule in rules),
        )

    def _rule(self, rule: ir.HttpRule | ir.L4Rule) -> RuleFacts:
        is_http = isinstance(rule, ir.HttpRule)
        matches = rule.matches if isinstance(rule, ir.HttpRule) else ()
        listeners = tuple(ir.listeners_of(rule, self._state.attachments))
        answers = [text for text in describe_backends(rule) if text.endswith("redirect")]
        field = f"spec.rules[{rule.index}].matches"
        return RuleFacts(
            index=rule.index,
            listeners=listeners,
            matches=tuple(
                MatchFacts(
                    index=number,
                    text=describe_match(match),
                    shadowed=self._shadowed.get((rule.route, f"{field}[{number}]"), ""),
                )
                for number, match in enumerate(matches)
            ),
            backends=tuple(BackendShare(backend=item.backend, weight=item.weight) for item in rule.backends),
            answer=answers[0] if answers else "",
            invalid=is_http and rule.invalid if isinstance(rule, ir.HttpRule) else False,
            policies=tuple(item for name in listeners[:_SHOWN_LISTENERS] for item in self._holding(name, rule)),
        )

    def _joined(self, listener: ir.Listener, rule: ir.HttpRule | ir.L4Rule) -> tuple[ir.StanzaBase, ...]:
        policies = self._state.policies
        above = (policies[name] for name in listener.policies if name in policies)
        below = (policies[name] for name in rule.policies if name in policies)
        return join(above, below)

    def _holding(self, name: str, rule: ir.HttpRule | ir.L4Rule) -> Iterator[HoldingPolicy]:
        listener = self._state.listeners.get(name)
        if listener is None:
            return
        place = list(place_of(self._snapshot, listener, rule.route, rule.index))
        for item in self._joined(listener, rule):
            policy = item.id.removesuffix(f"/{item.stanza}")
            yield HoldingPolicy(
                listener=name,
                policy=policy,
                stanza=item.stanza,
                origin=origin_of(self._snapshot, place, policy),
                invalid=item.invalid,
            )

    @functools.cached_property
    def ranking(self) -> Ranking:
        """Who is asked first."""
        return Ranking(self._state)

    # --- Policies -------------------------------------------------------------------------------------------------

    @functools.cached_property
    def policies(self) -> tuple[PolicyFacts, ...]:
        """All policies, with what they hold for."""
        holding: dict[str, int] = defaultdict(int)
        known: dict[tuple[tuple[str, ...], tuple[str, ...]], frozenset[str]] = {}
        for rule in self._all_rules:
            names: set[str] = set()
            for identifier in ir.listeners_of(rule, self._state.attachments):
                listener = self._state.listeners.get(identifier)
                if listener is None or not (listener.policies or rule.policies):
                    continue
                pair = (listener.policies, rule.policies)
                if pair not in known:
                    known[pair] = frozenset(_policy_of(item.id) for item in self._joined(listener, rule))
                names |= known[pair]
            for name in names:
                holding[name] += 1
        listeners = _by_policy((item.id, item.policies) for item in self._state.listeners.values())
        backends = _by_policy((item.id, item.policies) for item in self._state.backends.values())
        found = [(key, item) for key, item in self._statuses.items() if key.kind in POLICY_KINDS]
        stanzas: dict[str, list[str]] = defaultdict(list)
        for item in self._state.policies.values():
            if isinstance(item, ir.StanzaBase):
                stanzas[_policy_of(item.id)].append(item.stanza)
        return tuple(
            PolicyFacts(
                object=item.object,
                path=item.path,
                line=item.line,
                targets=tuple(self._targets(key)),
                overrides=self._overrides(key),
                stanzas=tuple(stanzas.get(item.object, ())),
                listeners=tuple(listeners.get(item.object, ())),
                rules=holding.get(item.object, 0),
                backends=len(backends.get(item.object, ())),
                conditions=item.conditions,
                problems=item.problems,
                good=item.good,
            )
            for key, item in found
        )

    def _spec(self, key: ObjectKey) -> PolicySpec | None:
        spec = getattr(self._snapshot.get(key), "spec", None)
        return spec if isinstance(spec, PolicySpec) else None

    def _overrides(self, key: ObjectKey) -> bool:
        spec = self._spec(key)
        return spec is not None and spec.overrides

    def _targets(self, key: ObjectKey) -> Iterator[str]:
        policy = self._snapshot.get(key)
        if isinstance(policy, RefusedPolicy):
            # What is closed for its sake, as far as that can be read.
            for refused in policy.targets:
                if refused.kind and refused.name:
                    yield str(Target(refused.kind, refused.namespace or key.namespace, refused.name, refused.section))
                else:
                    yield f"every {refused.kind or 'target'} of {refused.namespace or 'any namespace'}"
            return
        found: Any = getattr(policy, "spec", None)
        for item in getattr(found, "target_refs", ()):
            yield str(Target(item.kind, key.namespace, item.name, item.section_name or ""))

    # --- Rows -----------------------------------------------------------------------------------------------------

    @functools.cached_property
    def rows(self) -> Rows:
        """What has a row, by its name; of a Service it is that of its first port."""
        found = {f"Secret/{name}": Row("/certificates", name) for name in self._certificate_facts}
        for item in reversed(self.backends):
            found[f"Service/{item.id.rpartition(':')[0]}"] = Row("/backends", item.id)
        found |= {item.object: Row("/route", item.object) for item in self.routes}
        found |= {item.object: Row("/policies", item.object) for item in self.policies}
        for one in self.gateways:
            found[one.object] = Row("/gateways", one.object)
            found |= {listener.id: Row("/gateways", listener.id) for listener in one.listeners}
        return found

    # --- Backends -------------------------------------------------------------------------------------------------

    @functools.cached_property
    def backends(self) -> tuple[BackendFacts, ...]:
        """All backends, without what only a running engine counts."""
        endpoints: dict[str, list[EndpointFacts]] = defaultdict(list)
        for item in self._state.endpoints.values():
            address = f"[{item.address}]:{item.port}" if ":" in item.address else f"{item.address}:{item.port}"
            endpoints[item.backend].append(EndpointFacts(address=address, state=item.state.value))
        routes: dict[str, dict[str, None]] = defaultdict(dict)
        for rules in self._rules.values():
            for rule in rules:
                for share in rule.backends:
                    if share.backend is not None:
                        routes[share.backend][rule.route] = None
        found = sorted(self._state.backends.values(), key=lambda item: item.id)
        return tuple(self._backend(item, endpoints.get(item.id, []), tuple(routes.get(item.id, ()))) for item in found)

    def _backend(self, item: ir.Backend, endpoints: list[EndpointFacts], routes: tuple[str, ...]) -> BackendFacts:
        external = f"{item.external.hostname}:{item.external.port}" if item.external is not None else ""
        return BackendFacts(
            id=item.id,
            protocol="udp" if item.datagrams else item.protocol.value,
            external=external,
            endpoints=tuple(sorted(endpoints, key=lambda one: (one.state != "ready", one.address))),
            healthy=None,
            unhealthy=None,
            routes=routes,
            policies=item.policies,
            problems=self._problems_of.get(f"Service/{item.id.rpartition(':')[0]}", ()),
            good=bool(external) or any(one.state == "ready" for one in endpoints),
        )

    # --- Certificates ---------------------------------------------------------------------------------------------

    @functools.cached_property
    def _certificate_facts(self) -> Mapping[str, tuple[tuple[str, ...], int | None, int | None]]:
        """Names and times; of the chain alone anything is kept here."""
        checks, found = native_checks(), {}
        for item in self._state.certificates.values():
            facts = checks.certificate(item.chain.encode(), item.key.encode())
            found[item.id] = (tuple(facts.names), facts.not_before, facts.not_after)
        return found

    def certificates(self, now: float) -> tuple[CertificateFacts, ...]:
        """All certificates, the one that ends next first; `now`: seconds since 1970."""
        listeners: dict[str, list[str]] = defaultdict(list)
        for item in self._state.listeners.values():
            for name in item.tls.certificates if item.tls is not None else ():
                listeners[name].append(item.id)
        found = []
        for name, (names, not_before, not_after) in self._certificate_facts.items():
            days = int((not_after - now) / _DAY) if not_after is not None else None
            state = _state_of(now, not_before, not_after)
            found.append(
                CertificateFacts(
                    id=name,
                    names=names,
                    not_before=not_before,
                    not_after=not_after,
                    days_left=days,
                    state=state,
                    listeners=tuple(sorted(listeners[name])),
                    good=state == "valid",
                )
            )
        return tuple(sorted(found, key=lambda item: (item.not_after or 0, item.id)))

    # --- Explain --------------------------------------------------------------------------------------------------

    @functools.cached_property
    def table(self) -> Table:
        """What decides, compiled: the native table shows nothing of the secrets that it needs."""
        transaction = ir_transaction(None, self._state, 1)
        return Table(transaction, self.viewed.path_normalization, self.viewed.port_offset)

    def explain(self, request: Request | Connection) -> Explanation:
        """What happens to a request or a connection."""
        return explain(_Seen(self), self.table, request)

    @functools.cached_property
    def diagnostics(self) -> list[Diagnostic]:
        """All that is wrong, in the order of files and lines."""
        return sorted(self.viewed.diagnostics, key=Diagnostic.order)

    def documents(self) -> Iterable[Written]:
        """Objects as they are written; of a cluster its routes as they are read."""
        written = self.viewed.documents()
        if written:
            return written
        tables = (self._snapshot.table(kind) for kind in ROUTE_KINDS)
        return [_Read(item) for table in tables for item in table.values()]


class _Read:
    """An object of a cluster, as if somebody had written what is read of it."""

    def __init__(self, item: Any) -> None:  # noqa: ANN401 (any kind of route)
        self._item = item

    @property
    def data(self) -> dict[str, Any]:
        """What it says."""
        key = self._item.key
        metadata = {"namespace": key.namespace, "name": key.name}
        return {"kind": key.kind, "metadata": metadata, "spec": msgspec.to_builtins(self._item.spec)}


class _Seen:
    """What runs, for `explain`."""

    def __init__(self, moment: Moment) -> None:
        self._moment = moment
        self.translation = moment.viewed.translation
        self.ingresses = moment.viewed.ingresses

    def documents(self) -> Iterable[Written]:
        """As `Moment` has them."""
        return self._moment.documents()

    def diagnostics(self) -> list[Diagnostic]:
        """As `Moment` has them."""
        return self._moment.diagnostics


def generations(viewed: Viewed) -> tuple[GenerationFacts, ...]:
    """Each that serves, those that are not current first."""
    found = [
        GenerationFacts(
            data_plane=item.data_plane,
            pod=item.name,
            state=item.state,
            generation=item.generation,
            reason=item.reason,
            good=item.state == "current",
        )
        for item in viewed.pods
    ]
    return tuple(sorted(found, key=lambda item: (item.good, item.data_plane, item.pod)))


_TOLD_KINDS = frozenset({*_PARENTS, *ROUTE_KINDS, *POLICY_KINDS})


def _policy_of(identifier: str) -> str:
    """`<kind>/<namespace>/<name>` of a policy's part."""
    return "/".join(identifier.split("/")[:3])


def _by_policy(named: Iterable[tuple[str, tuple[str, ...]]]) -> dict[str, dict[str, None]]:
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for owner, policies in named:
        for policy in policies:
            found[_policy_of(policy)][owner] = None
    return found


def _why(status: ObjectStatus) -> str:
    """What stands in the way, in a line."""
    for item in bad_conditions(status):
        return f"{item.of + ': ' if item.of else ''}{item.message or item.reason}"
    for problem in status.problems:
        if problem.severity != "info":
            field = f"{problem.field}: " if problem.field else ""
            return f"{field}{problem.message}"
    return ""


def _state_of(now: float, not_before: int | None, not_after: int | None) -> Any:  # noqa: ANN401 (one of a Literal)
    if not_after is None:
        return "unknown"
    if not_before is not None and now < not_before:
        return "not-yet-valid"
    if now >= not_after + 1:  # the last second counts (RFC 5280 section 4.1.2.5)
        return "expired"
    return "expiring" if not_after - now < EXPIRY_WARNING_SECONDS else "valid"


def current(viewed: Viewed, before: Moment | None) -> Moment:
    """The moment of what is seen: the one before, with its facts, where nothing changed."""
    if before is not None and before.is_of(viewed):
        before.viewed = viewed
        return before
    return Moment(viewed)

"""What is said of a running Sluicegate; the answers of the API are made of these structs, and the page reads them.

Their schema is published (`docs/schemas/v1/api.json`). Within `/api/v1` fields may be added, never taken away or
changed in what they mean. What commands say too (`explain`, `status`) is of the same structs.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from sluicegate.controller.api import Diagnostic
from sluicegate.controller.stream.figures import RouteCounters

from ..explanation import Explanation
from ..status_report import StatusCondition


class Fact(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what is said."""


class Overview(Fact, frozen=True, kw_only=True):
    """What runs, and how it is.

    Attributes:
        version: of the program.
        role: `serve`, `serve --kubernetes` or `controller`.
        generation: number of the newest configuration.
        changed: when it came, seconds since 1970; 0: not known.
        counts: what there is, by the name of its list.
        wrong: of these, what is not as one wants it, by the same names.
        live: whether counters are shown; those of a controller are of the pods that are connected.
    """

    version: str
    role: str
    generation: int
    changed: float
    counts: dict[str, int]
    wrong: dict[str, int]
    live: bool


class ListenerFacts(Fact, frozen=True, kw_only=True):
    """A listener.

    Attributes:
        id: such as `Gateway/default/edge/http`.
        owner: the Gateway or ListenerSet that has it.
        gateway: `<namespace>/<name>` of the Gateway.
        protocol: such as `HTTPS`.
        port: as it is written.
        bind_port: that is bound.
        hostname: that it serves; empty: every.
        bound: sockets, `address:port`; of a controller those of its pods.
        url: by which a client on this machine reaches it; empty where nothing is bound.
        error: why it is not bound, and what to do.
        routes: number of routes attached to it.
        certificates: Secrets, `<namespace>/<name>`.
        policies: stanzas that hold for all of it, such as `AccessPolicy/default/sso/jwt`.
        served: whether it is in the configuration; not: its conditions say why.
        conditions: of its status.
        good: it is as one wants it.
    """

    id: str
    owner: str
    gateway: str
    protocol: str
    port: int
    bind_port: int
    hostname: str
    bound: tuple[str, ...]
    url: str
    error: str
    routes: int
    certificates: tuple[str, ...]
    policies: tuple[str, ...]
    served: bool
    conditions: tuple[StatusCondition, ...]
    good: bool


class GatewayFacts(Fact, frozen=True, kw_only=True):
    """A Gateway, a ListenerSet or a GatewayClass.

    Attributes:
        object: such as `Gateway/default/edge`.
        path: of its file; `cluster`: a cluster has it.
        line: where it begins; 0: a cluster has it.
        good: all of it is accepted, programmed, and no error is told of it.
        addresses: that it reports.
        conditions: its own.
        listeners: that it has.
        problems: what is wrong with it, with fields and remedies.
    """

    object: str
    path: str
    line: int
    good: bool
    addresses: tuple[str, ...]
    conditions: tuple[StatusCondition, ...]
    listeners: tuple[ListenerFacts, ...]
    problems: tuple[Diagnostic, ...]


class MatchFacts(Fact, frozen=True, kw_only=True):
    """A match of a rule.

    Attributes:
        index: in the rule's matches.
        text: in words of the API.
        shadowed: who has its requests, where others have the same match and come first; empty: it gets some.
    """

    index: int
    text: str
    shadowed: str


class BackendShare(Fact, frozen=True, kw_only=True):
    """Where a rule sends requests or connections.

    Attributes:
        backend: `<namespace>/<service>:<port>`; None: it cannot be used, its share is answered 500, or closed.
        weight: of the sum of all.
    """

    backend: str | None
    weight: int


class HoldingPolicy(Fact, frozen=True, kw_only=True):
    """A stanza that holds for a rule at a listener, after all are merged.

    Attributes:
        listener: where it holds.
        policy: such as `AccessPolicy/default/sso`.
        stanza: such as `jwt`.
        origin: what the policy is attached to, such as `Gateway default/edge, Overrides`; empty: a filter.
        invalid: it cannot be honoured, so it refuses everything.
    """

    listener: str
    policy: str
    stanza: str
    origin: str
    invalid: bool


class RuleFacts(Fact, frozen=True, kw_only=True):
    """A rule of a route, as it is served.

    Attributes:
        index: in the route's rules.
        listeners: that it is attached to.
        matches: alternatives; a rule for connections has none.
        backends: by weight.
        answer: what it answers by itself, such as `301 redirect`; empty: it asks a backend.
        invalid: it cannot be honoured: requests that it takes are answered 500.
        policies: that hold for it, listener by listener.
    """

    index: int
    listeners: tuple[str, ...]
    matches: tuple[MatchFacts, ...]
    backends: tuple[BackendShare, ...]
    answer: str
    invalid: bool
    policies: tuple[HoldingPolicy, ...]


class RouteFacts(Fact, frozen=True, kw_only=True):
    """A route in a line.

    Attributes:
        object: such as `HTTPRoute/default/shop`.
        made_of: the Ingress, with file and line, that it was made of; empty: somebody wrote it.
        path: of its file; `cluster`: a cluster has it.
        line: where it begins; 0: a cluster has it.
        hostnames: its own; empty: every.
        parents: Gateways and ListenerSets that it names.
        rules: that are served.
        shadowed: matches that get nothing, because others have the same and come first.
        good: it is accepted, all that it refers to is there, and no error is told of it.
        why: the first reason why not, in words; else the first warning; empty: there is none.
    """

    object: str
    made_of: str
    path: str
    line: int
    hostnames: tuple[str, ...]
    parents: tuple[str, ...]
    rules: int
    shadowed: int
    good: bool
    why: str


class RouteDetail(Fact, frozen=True, kw_only=True):
    """All that is known of a route.

    Attributes:
        route: in a line.
        conditions: by parent.
        problems: what is wrong with it, with fields and remedies.
        served: its rules.
    """

    route: RouteFacts
    conditions: tuple[StatusCondition, ...]
    problems: tuple[Diagnostic, ...]
    served: tuple[RuleFacts, ...]


class RankedMatch(Fact, frozen=True, kw_only=True):
    """A match of a listener, in the order in which they are tried for a hostname: the first that holds takes a request.

    Attributes:
        listener: that has it.
        hostname: that is asked for.
        place: from 1, within these two.
        route: that has it.
        rule: index in the route's rules.
        match: index in the rule's matches; None: of a rule for connections.
        text: the match in words.
        found_by: the hostname of the route that fits; `*`: it has none.
        backends: of its rule, in words.
        shadowed: who has all that it could get; empty: it gets what those before it leave.
    """

    listener: str
    hostname: str
    place: int
    route: str
    rule: int
    match: int | None
    text: str
    found_by: str
    backends: tuple[str, ...]
    shadowed: str


class PolicyFacts(Fact, frozen=True, kw_only=True):
    """A policy.

    Attributes:
        object: such as `AccessPolicy/default/sso`.
        path: of its file; `cluster`: a cluster has it.
        line: where it begins; 0: a cluster has it.
        targets: what it is attached to, such as `Gateway default/edge` or `HTTPRoute default/shop/login`, a rule.
        overrides: it holds in place of what is set lower.
        stanzas: that it sets.
        listeners: that name it: it holds for what is below them, but for what is set lower.
        rules: number of rules for which a stanza of it holds, after all are merged: what its end would change.
        backends: number of backends that name it.
        conditions: by Gateway.
        problems: what is wrong with it.
        good: it is accepted, programmed, and no error is told of it.
    """

    object: str
    path: str
    line: int
    targets: tuple[str, ...]
    overrides: bool
    stanzas: tuple[str, ...]
    listeners: tuple[str, ...]
    rules: int
    backends: int
    conditions: tuple[StatusCondition, ...]
    problems: tuple[Diagnostic, ...]
    good: bool


class EndpointFacts(Fact, frozen=True, kw_only=True):
    """An endpoint.

    Attributes:
        address: `address:port`.
        state: `ready`, or `draining`: it ends, and gets something only where none is ready.
    """

    address: str
    state: str


class BackendFacts(Fact, frozen=True, kw_only=True):
    """A port of a Service, or an external host.

    Attributes:
        id: `<namespace>/<service>:<port>`.
        protocol: `http`, `http1` or `h2c`; `udp`.
        external: host and port that its endpoints come from by name; empty: by EndpointSlices.
        endpoints: that there are.
        healthy, unhealthy: by active health checks, counted by each worker for itself; None: nobody asks them.
        routes: that send it something.
        policies: that hold for it.
        problems: what is wrong with its Service.
        good: it has a ready endpoint.
    """

    id: str
    protocol: str
    external: str
    endpoints: tuple[EndpointFacts, ...]
    healthy: int | None
    unhealthy: int | None
    routes: tuple[str, ...]
    policies: tuple[str, ...]
    problems: tuple[Diagnostic, ...]
    good: bool


class CertificateFacts(Fact, frozen=True, kw_only=True):
    """A certificate that is served, or shown to backends; never its key.

    Attributes:
        id: `<namespace>/<name>` of the Secret.
        names: of the leaf.
        not_before, not_after: seconds since 1970; None: not known.
        days_left: whole days until it expires; negative: since it has; None: not known.
        state: `valid`, `expiring` (within 14 days), `expired` or `not-yet-valid`; `unknown`.
        listeners: that serve it.
        good: it is valid.
    """

    id: str
    names: tuple[str, ...]
    not_before: int | None
    not_after: int | None
    days_left: int | None
    state: Literal["valid", "expiring", "expired", "not-yet-valid", "unknown"]
    listeners: tuple[str, ...]
    good: bool


class GenerationFacts(Fact, frozen=True, kw_only=True):
    """One that serves, and how near it is to the newest configuration.

    Attributes:
        data_plane: `<namespace>/<name>` of its Deployment; empty: it is this process.
        pod: its name; empty: this process, or none is connected.
        state: `current`, `behind`, `refused` (it keeps what it had, all or a part) or `away` (none is connected).
        generation: of the transaction that it took last; 0: none that is known. Who has nothing new to take keeps its
            number and is `current`.
        reason: why it is not current.
        good: it is current.
    """

    data_plane: str
    pod: str
    state: str
    generation: int
    reason: str
    good: bool


class Counters(Fact, frozen=True, kw_only=True):
    """Counters now: rates are the difference of two answers by the difference of their times.

    Attributes:
        time: seconds of a clock that only goes forward.
        generation: number of the newest configuration; another one: the other lists may be others.
        serial: number of what the lists are made of; another one: read them again.
        live: whether there are counters: an engine, or a pod that is connected.
        connections: of clients, open now.
        accepted: of clients, since the start.
        requests: of all clients, whoever took them.
        errors: answers that the gateway made itself, by code; those that there were.
        bounds: upper bounds of `buckets`, in seconds; the last one is infinite and left out.
        routes: those that were asked for, or all that had a request.
    """

    time: float
    generation: int
    serial: int
    live: bool
    connections: int
    accepted: int
    requests: int
    errors: dict[str, int]
    bounds: tuple[float, ...]
    routes: dict[str, RouteCounters]


Item: TypeAlias = (
    GatewayFacts
    | RouteFacts
    | RankedMatch
    | PolicyFacts
    | BackendFacts
    | CertificateFacts
    | Diagnostic
    | GenerationFacts
)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a list.

    Attributes:
        list: its name.
        total: number of all that fit what was searched for.
        offset: of the first item here.
        next: offset of the part after this one; None: this is the last.
    """

    list: str
    total: int
    offset: int
    next: int | None


class Gateways(Part, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/gateways"):
    """`/api/v1/gateways`."""

    items: tuple[GatewayFacts, ...]


class Routes(Part, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/routes"):
    """`/api/v1/routes`."""

    items: tuple[RouteFacts, ...]


class Matches(Part, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/matches"):
    """`/api/v1/matches`."""

    items: tuple[RankedMatch, ...]


class Policies(Part, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/policies"):
    """`/api/v1/policies`."""

    items: tuple[PolicyFacts, ...]


class Backends(Part, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/backends"):
    """`/api/v1/backends`."""

    items: tuple[BackendFacts, ...]


class Certificates(Part, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/certificates"):
    """`/api/v1/certificates`."""

    items: tuple[CertificateFacts, ...]


class Problems(Part, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/problems"):
    """`/api/v1/problems`."""

    items: tuple[Diagnostic, ...]


class Generations(Part, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/generations"):
    """`/api/v1/generations`."""

    items: tuple[GenerationFacts, ...]


class OverviewAnswer(Overview, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1"):
    """`/api/v1`."""


class RouteAnswer(RouteDetail, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/route"):
    """`/api/v1/route?name=HTTPRoute/default/shop`."""


class CountersAnswer(Counters, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/counters"):
    """`/api/v1/counters`."""


class ErrorAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="format", tag="sluicegate.dev/api/v1/error"):
    """What is wrong with what was asked, and how it is asked."""

    error: str


#: Everything that the API answers; `/api/v1/explain` is what `explain --output json` writes.
ApiAnswer: TypeAlias = (
    OverviewAnswer
    | Gateways
    | Routes
    | RouteAnswer
    | Matches
    | Policies
    | Backends
    | Certificates
    | Problems
    | Generations
    | CountersAnswer
    | ErrorAnswer
    | Explanation
)

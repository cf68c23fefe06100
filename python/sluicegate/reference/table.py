"""The routing table as frozen data. `build.compile` makes it, `match` and `decision` read it."""

from __future__ import annotations

import enum
from typing import TypeAlias

from msgspec import Struct

from sluicegate import ir

from .expression import Expression


class SegmentTest(Struct, frozen=True):
    """One part of a `GRPCMethodMatch`: an expression, else a value, else any."""

    value: str | None = None
    expression: Expression | None = None


class GrpcTest(Struct, frozen=True):
    """`GRPCRouteMatch.method`: a test for each segment of `/service/method`."""

    service: SegmentTest
    method: SegmentTest


class PathTest(Struct, frozen=True):
    """`matches[].path`, or `matches[].method` of a GRPCRoute; exactly one of the four is there.

    Attributes:
        exact: the whole path.
        prefix: a PathPrefix without its trailing slash, so empty for `/`.
        expression: over the whole path.
        grpc: service and method.
    """

    exact: str | None = None
    prefix: str | None = None
    expression: Expression | None = None
    grpc: GrpcTest | None = None


class ValueTest(Struct, frozen=True):
    """One of `matches[].headers` (name in lower case) or `matches[].queryParams`: an expression, else a value."""

    name: bytes
    value: bytes
    expression: Expression | None = None


#: Hostname of the route apart, everything that decides between candidates; the smallest comes first.
Rank: TypeAlias = tuple[int, int, int, bool, bool, int, int, int, bytes, int, int]


class Candidate(Struct, frozen=True):
    """One match of one rule, ready to be tried. `method` empty: any."""

    rule: ir.HttpRule
    match_index: int
    rank: Rank
    path: PathTest
    method: str
    headers: tuple[ValueTest, ...]
    query: tuple[ValueTest, ...]


class Family(enum.Enum):
    """What is spoken on a socket. `TLS`: the SNI decides between HTTPS and TLS listeners."""

    HTTP = "HTTP"
    TLS = "TLS"
    TCP = "TCP"
    UDP = "UDP"


class Listener(Struct, frozen=True):
    """A listener.

    Attributes:
        resource: as it was sent.
        candidates: of HTTP and HTTPS: the sorted candidates of each hostname of a route (empty: any).
        l4_rules: of TLS, TCP and UDP: the rule that takes connections, by hostname of its route (empty: any).
        policies: what holds for rules, by the policies that they name.
    """

    resource: ir.Listener
    candidates: dict[str, tuple[Candidate, ...]]
    l4_rules: dict[str, ir.L4Rule]
    policies: dict[tuple[str, ...], tuple[ir.StanzaBase, ...]]


class Socket(Struct, frozen=True):
    """The listeners bound to one address and port, by hostname."""

    family: Family
    listeners: dict[str, Listener]


class Backend(Struct, frozen=True):
    """A backend as it is now.

    Attributes:
        endpoints: ids of the ready ones, else of the draining ones, sorted.
        tls_invalid, policy_invalid: its BackendTLSPolicy, or another policy of it, cannot be honoured.
        session: of rules that say nothing of sessions themselves.
    """

    endpoints: tuple[str, ...]
    tls_invalid: bool
    policy_invalid: bool
    session: ir.Session | None = None


#: Whether it is UDP, the bound address (None: every address), and the port.
SocketKey: TypeAlias = tuple[bool, str | None, int]


class Table(Struct, frozen=True):
    """One generation.

    Attributes:
        first_sockets: the first socket of a port (and whether it is UDP), whatever its address.
        policy_secrets: what policies know and nobody else may, by id.
    """

    generation: int
    sockets: dict[SocketKey, Socket]
    first_sockets: dict[tuple[bool, int], Socket]
    backends: dict[str, Backend]
    policy_secrets: dict[str, str]

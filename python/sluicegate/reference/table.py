"""The routing table as frozen data. `build.compile` makes it, `match` and `decision` read it."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from sluicegate import ir

from .expression import Expression


class PathTest(Struct, frozen=True):
    """`matches[].path`; exactly one of the three is there.

    Attributes:
        exact: the whole path.
        prefix: a PathPrefix without its trailing slash, so empty for `/`.
        expression: over the whole path.
    """

    exact: str | None = None
    prefix: str | None = None
    expression: Expression | None = None


class ValueTest(Struct, frozen=True):
    """One of `matches[].headers` (name in lower case) or `matches[].queryParams`: an expression, else a value."""

    name: bytes
    value: bytes
    expression: Expression | None = None


#: Hostname of the route apart, everything that decides between candidates; the smallest comes first.
Rank: TypeAlias = tuple[int, int, bool, int, int, int, bytes, int, int]


class Candidate(Struct, frozen=True):
    """One match of one rule, ready to be tried. `method` empty: any."""

    rule: ir.HttpRule
    match_index: int
    rank: Rank
    path: PathTest
    method: str
    headers: tuple[ValueTest, ...]
    query: tuple[ValueTest, ...]


class Listener(Struct, frozen=True):
    """A listener; `candidates`: the sorted candidates of each hostname of a route (empty: any)."""

    resource: ir.Listener
    candidates: dict[str, tuple[Candidate, ...]]


class Socket(Struct, frozen=True):
    """The listeners bound to one address and port, by hostname."""

    protocol: ir.ListenerProtocol
    listeners: dict[str, Listener]


class Backend(Struct, frozen=True):
    """A backend as it is now.

    Attributes:
        endpoints: ids of the ready ones, else of the draining ones, sorted.
        tls_invalid: its BackendTLSPolicy cannot be honoured.
    """

    endpoints: tuple[str, ...]
    tls_invalid: bool


#: Bound address (None: every address) and port.
SocketKey: TypeAlias = tuple[str | None, int]


class Table(Struct, frozen=True):
    """One generation. `first_sockets`: the first socket of a port, whatever its address."""

    generation: int
    sockets: dict[SocketKey, Socket]
    first_sockets: dict[int, Socket]
    backends: dict[str, Backend]

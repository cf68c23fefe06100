"""The reference router: the routing semantics of ARCHITECTURE.md in plain Python, one module a stage.

    target, authority -> listener -> match -> filters, cors -> decision
              socket, SNI -> listener -> l4

It reads the same IR bytes as the native engine. It is the oracle of `tests/parity`, the pure-Python and (the very same
files compiled) the Cython build of `benches/micro`, and the router of the reference proxy in `benches/proxy`.

Rules: data is frozen, `decide` is a pure function, every stage cites the section that it implements, and nothing is
clever. A listener's candidates are bucketed by the hostname of the route, as any sane program would do it; within a
bucket they are one sorted list in which the first hit wins, because that is what the specification says word for word.
Needs the extra `sluicegate[reference]` (google-re2, common-expression-language).
"""

from .build import TableError, compile, merge  # noqa: A004 the word of the design
from .contract import Connection, Decision, Message, Reply, Request
from .router import decide, decide_json
from .table import Table

__all__ = [
    "Connection",
    "Decision",
    "Message",
    "Reply",
    "Request",
    "Table",
    "TableError",
    "compile",
    "decide",
    "decide_json",
    "merge",
]

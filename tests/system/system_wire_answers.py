"""What comes of the requests of `test_wire_agrees`: at their backend, which tells it, and at their client."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from system_backends import Received
from system_clients import Response

#: What the gateway writes itself, or has written anew.
OWN = frozenset({"host", "te", "content-length", "transfer-encoding", "connection", "expect"})
#: What backends answer besides: CORS and edits of responses take it out, or add to it.
ANSWERED = (("Vary", "Accept"), ("Access-Control-Allow-Origin", "*"), ("X-Rule", "the backend"))
#: Fields of answers that are compared, and so are those of CORS.
COMPARED = frozenset({"x-rule", "x-by", "x-page", "location", "vary", "retry-after"})
Fields = list[tuple[str, str]]
#: A request as the backend got it: method, target, authority, fields.
Got = tuple[str, str, str, Fields]


@dataclass(frozen=True)
class Seen:
    """What came of a request.

    Attributes:
        status: of HTTP; 0: no answer, and the connection or the stream has ended.
        grpc: the status of gRPC, where the gateway answers a call with one.
        fields: of the answer.
        got: by the backend; None: it was not asked.
    """

    status: int
    grpc: str | None = None
    fields: tuple[tuple[str, str], ...] = ()
    got: Got | None = None


NO_ANSWER = Seen(0)


def told(request: Received) -> Fields:
    """What the backend got, in a field: an answer to HEAD has no body."""
    fields = request.headers
    if request.version != "2":
        fields = [(name, value.encode("latin-1").decode()) for name, value in fields]
    got = json.dumps((request.method, request.target.encode("latin-1").decode(), request.header("host"), fields))
    return [("x-got", got), *ANSWERED]


def told_in_http2(request: Received) -> tuple[Fields, bytes, Fields]:
    return [(":status", "200"), *((name.lower(), value) for name, value in told(request))], b"", []


def compared(fields: Iterable[tuple[str, str]]) -> Fields:
    """Fields without those that the gateway writes itself; crumbs of a cookie are one field over HTTP/2."""
    kept = [(name.lower(), value) for name, value in fields if name.lower() not in OWN]
    crumbs = "; ".join(value for name, value in kept if name == "cookie")
    return sorted([*(field for field in kept if field[0] != "cookie"), *([("cookie", crumbs)] if crumbs else [])])


def answered(fields: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The fields of an answer that are compared."""
    lower = ((name.lower(), value) for name, value in fields)
    return tuple(sorted(field for field in lower if field[0] in COMPARED or field[0].startswith("access-control-")))


def seen_of(answer: Response) -> Seen:
    got = answer.header("x-got")
    fields = answered(answer.headers)
    if got is None:
        return Seen(answer.status, answer.header("grpc-status"), fields)
    method, target, authority, sent = json.loads(got)
    return Seen(answer.status, None, fields, (method, target, authority, compared(sent)))

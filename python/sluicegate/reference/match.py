"""Which rule takes a request (ARCHITECTURE.md, "4. Rule").

The hostnames of the routes are tried from the most specific to the least; within one, candidates stand in the order of
the specification and the first that holds takes the request.
"""

from __future__ import annotations

import re

from msgspec import Struct

from .contract import Headers
from .listener import hostnames_of
from .table import Candidate, GrpcTest, Listener, PathTest, SegmentTest, ValueTest

#: Surrounding whitespace of a field value (RFC 9110 section 5.5), and the rest of what ASCII has.
WHITESPACE = b" \t\n\r\x0c"

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")


class Head(Struct, frozen=True):
    """A request as matching sees it.

    Attributes:
        method: as sent.
        host: lower case, without port.
        path: normalised.
        query: as sent, without the `?`.
        fields: value by lower-case name; several fields of one name are joined (RFC 9110 section 5.3, cookies by RFC
            9113 section 8.2.3). `host` is the authority, whatever carried it.
        parameters: decoded value by decoded name; the first of a name counts.
    """

    method: str
    host: str
    path: str
    query: str | None
    fields: dict[bytes, bytes]
    parameters: dict[bytes, bytes]


class Found(Struct, frozen=True):
    """The candidate that won; `prefix_length`: characters of the path that a PathPrefix matched."""

    candidate: Candidate
    prefix_length: int | None


def head_of(*, method: str, host: str, authority: str, path: str, query: str | None, headers: Headers) -> Head:
    """Prepare what matching needs of a request."""
    fields = joined_fields((("host", authority), *headers))
    return Head(method, host, path, query, fields, first_parameters(query))


def find(listener: Listener, head: Head) -> Found | None:
    """The first candidate that holds, in the order of the specification."""
    for hostname in hostnames_of(head.host):
        for candidate in listener.candidates.get(hostname, ()):
            if holds(candidate, head):
                return Found(candidate, _prefix_length(candidate.path))
    return None


def holds(candidate: Candidate, head: Head) -> bool:
    """Whether all parts of a match hold."""
    if not _path_holds(candidate.path, head.path):
        return False
    if candidate.method and candidate.method != head.method:
        return False
    return _values_hold(candidate.headers, head.fields) and _values_hold(candidate.query, head.parameters)


def _path_holds(test: PathTest, path: str) -> bool:
    if test.exact is not None:
        return path == test.exact
    if test.prefix is not None:
        # By segment: `/a` holds for `/a` and `/a/b`, not for `/ab`.
        return path.startswith(test.prefix) and path[len(test.prefix) : len(test.prefix) + 1] in {"", "/"}
    if test.grpc is not None:
        return _grpc_holds(test.grpc, path)
    return test.expression is not None and bool(test.expression(path))


def _grpc_holds(test: GrpcTest, path: str) -> bool:
    """Paths of gRPC are `/service/method`; any other is no call."""
    segments = path.split("/")
    if len(segments) != 3 or segments[0] or not segments[1] or not segments[2]:
        return False
    return _segment_holds(test.service, segments[1]) and _segment_holds(test.method, segments[2])


def _segment_holds(test: SegmentTest, segment: str) -> bool:
    if test.expression is not None:
        return bool(test.expression(segment))
    return test.value is None or test.value == segment


def _prefix_length(test: PathTest) -> int | None:
    if test.prefix is None:
        return None
    return len(test.prefix) or len("/")


def _values_hold(tests: tuple[ValueTest, ...], values: dict[bytes, bytes]) -> bool:
    return all(_value_holds(test, values.get(test.name)) for test in tests) if tests else True


def _value_holds(test: ValueTest, value: bytes | None) -> bool:
    if value is None:
        return False
    if test.expression is None:
        return value == test.value
    try:
        return bool(test.expression(value.decode()))
    except UnicodeDecodeError:
        # Expressions are over text; what is no UTF-8 never matches.
        return False


def joined_fields(headers: Headers) -> dict[bytes, bytes]:
    """Values by lower-case name."""
    fields: dict[bytes, bytes] = {}
    for name, value in headers:
        key = name.encode(errors="surrogateescape").lower()
        trimmed = value.encode(errors="surrogateescape").strip(WHITESPACE)
        separator = b"; " if key == b"cookie" else b", "
        fields[key] = fields[key] + separator + trimmed if key in fields else trimmed
    return fields


def first_parameters(query: str | None) -> dict[bytes, bytes]:
    """Query parameters: split at `&`, name and value at the first `=`, both decoded."""
    parameters: dict[bytes, bytes] = {}
    if query is not None:
        for pair in query.encode().split(b"&"):
            name, _, value = pair.partition(b"=")
            parameters.setdefault(decoded(name), decoded(value))
    return parameters


def decoded(text: bytes) -> bytes:
    """Percent-decoding with `+` as space; a broken escape stays as it is."""
    return _ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), text.replace(b"+", b" "))

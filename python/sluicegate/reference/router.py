"""The whole decision on one request: target, authority, listener, rule, action (ARCHITECTURE.md, sections 1 to 5).

Connections of TLS, TCP and UDP are decided on in `l4` (section 6).
"""

from __future__ import annotations

import msgspec

from .authority import parse_host
from .contract import BadRequest, Connection, Decision, Request, decode_request, encode_decision
from .decision import Routed, act, respond
from .filters import edited_before_routing
from .l4 import L4_ONLY, connect
from .listener import answers_requests, is_misdirected, listener_of, socket_of
from .match import find, head_of
from .table import Table
from .target import parse_target


def decide(table: Table, request: Request | Connection) -> Decision:
    """Decide on one request or connection. Pure: the same table and request always give the same decision.

    Raises:
        ValueError: `request.address` is no IP address; a fault of the caller, not of the request.
    """
    return connect(table, request) if isinstance(request, Connection) else _answer(table, request)


def _answer(table: Table, request: Request) -> Decision:
    if request.method == "CONNECT":
        return respond(405, "method_not_allowed")
    try:
        target = parse_target(request.method, request.target, is_strict=request.path_normalization == "strict")
        if request.authority:
            # A second name beside an absolute-form target must be well formed too, although the target's counts.
            parse_host(request.authority)
        authority = request.authority if target.authority is None else target.authority
        host = parse_host(authority)
    except BadRequest:
        return respond(400, "bad_request")
    socket = socket_of(table, request.bind_port, request.address, is_udp=False)
    listener = None if socket is None or socket.family in L4_ONLY else listener_of(socket, host)
    if socket is None or listener is None:
        return respond(404, "no_listener")
    if is_misdirected(socket, listener, request.sni):
        return respond(421, "misdirected", listener)
    if not answers_requests(listener):
        return respond(404, "no_listener")
    if listener.resource.filters:
        headers = edited_before_routing(request.headers, listener.resource.filters)
        request = msgspec.structs.replace(request, headers=headers)
    head = head_of(
        method=request.method,
        host=host,
        authority=authority,
        path=target.path,
        query=target.query,
        headers=request.headers,
    )
    found = find(listener, head)
    if found is None:
        return respond(404, "no_route", listener)
    return act(table, Routed(request, head, authority, listener, found))


def decide_json(table: Table, request: bytes) -> bytes:
    """`decide` as the contract has it: JSON in, JSON out.

    Raises:
        ValueError: the request is none.
    """
    return encode_decision(decide(table, decode_request(request)))

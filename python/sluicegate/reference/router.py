"""The whole decision on one request: target, authority, listener, rule, action (ARCHITECTURE.md, sections 1 to 5)."""

from __future__ import annotations

import ipaddress

from .authority import parse_host
from .contract import BadRequest, Decision, Request, decode_request, encode_decision
from .decision import Routed, act, respond
from .listener import is_misdirected, listener_of
from .match import find, head_of
from .table import Socket, Table
from .target import parse_target


def decide(table: Table, request: Request) -> Decision:
    """Decide on one request. Pure: the same table and request always give the same decision.

    Raises:
        ValueError: `request.address` is no IP address; a fault of the caller, not of the request.
    """
    try:
        target = parse_target(request.method, request.target)
        authority = request.authority if target.authority is None else target.authority
        host = parse_host(authority)
    except BadRequest:
        return respond(400, "bad_request")
    socket = _socket(table, request)
    listener = None if socket is None else listener_of(socket, host)
    if socket is None or listener is None:
        return respond(404, "no_listener")
    if is_misdirected(socket, listener, request.sni):
        return respond(421, "misdirected", listener)
    head = head_of(method=request.method, host=host, path=target.path, query=target.query, headers=request.headers)
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


def _socket(table: Table, request: Request) -> Socket | None:
    if not request.address:
        return table.first_sockets.get(request.bind_port)
    return table.sockets.get((str(ipaddress.ip_address(request.address)), request.bind_port))

"""The whole decision on one request: handshake, head, target, authority, listener, rule, action.

Sections 1 to 5 of ARCHITECTURE.md.

Connections of TLS, TCP and UDP are decided on in `l4` (section 6).
"""

from __future__ import annotations

from .authority import parse_host
from .before import split, without_said
from .contract import BadRequest, Connection, Decision, Request, Said, decode_request, encode_decision
from .decision import Routed, act, respond
from .facts import told, without_forwarded
from .filters import edited_before_routing
from .head import BadHead, SentFields, is_token, sort_fields, well_formed
from .l4 import before_the_head, connect
from .listener import is_misdirected, listener_of, socket_of
from .match import find, head_of
from .table import Table
from .target import parse_target
from .unrouted import Unrouted, ask_before, refuse

#: What the wire says of a head that it cannot read, by status: the codes of `docs/errors.md`.
_REFUSALS = {
    400: "bad_request",
    417: "expectation_failed",
    431: "headers_too_large",
    501: "unsupported_transfer_coding",
}


def decide(table: Table, request: Request | Connection) -> Decision:
    """Decide on one request or connection. Pure: the same table and request always give the same decision.

    Raises:
        ValueError: `request.address` is not an IP address; a fault of the caller, not of the request.
    """
    return connect(table, request) if isinstance(request, Connection) else _answer(table, request)


def _answer(table: Table, request: Request) -> Decision:
    socket = socket_of(table, request.bind_port, request.address, is_udp=False)
    unread = None if socket is None else before_the_head(table, socket, request)
    if unread is not None:
        return unread
    try:
        fields = _read_fields(request)
    except BadHead as error:
        return respond(error.status, _REFUSALS[error.status])
    if request.method == "CONNECT":
        return respond(405, "method_not_allowed")
    try:
        target = parse_target(request.method, request.target, is_strict=request.path_normalization == "strict")
        # A second name beside an absolute-form target must be well formed too, although the target's counts.
        sent_host = parse_host(fields.host or "")
        host = sent_host if target.authority is None else parse_host(target.authority)
    except BadRequest:
        return respond(400, "bad_request")
    authority = fields.host or "" if target.authority is None else target.authority
    listener = None if socket is None else listener_of(socket, host)
    if socket is None or listener is None:
        return respond(404, "no_listener")
    if is_misdirected(socket, listener, request.sni):
        return respond(421, "misdirected", listener)
    kept, own = edited_before_routing(fields.kept, listener.resource.filters)
    taken_out, _ = edited_before_routing(fields.taken_out, listener.resource.filters)

    def unrouted() -> Unrouted:
        # What rules are looked for by is what is sent on.
        sent_on = (*without_forwarded(kept), *own)
        head = head_of(
            method=request.method,
            host=host,
            authority=authority,
            path=target.path,
            query=target.query,
            headers=(*without_forwarded(taken_out), *told(request, listener, authority, sent_on, own)),
        )
        return Unrouted(
            request=request,
            listener=listener,
            head=head,
            authority=authority,
            headers=(*kept, *own),
            own=own,
            sent=(*((("host", authority),) if authority else ()), *fields.taken_out, *fields.kept),
            body_length=fields.length,
        )

    said: tuple[Said, ...] = ()
    before, _ = split(listener.policies.get((), ()), listener.resource.policies)
    if before:
        said, refusal = ask_before(table, unrouted())
        if refusal is not None:
            return refusal
        kept, own, taken_out = (without_said(before, each) for each in (kept, own, taken_out))
    looked_for = unrouted()
    found = find(listener, looked_for.head)
    if found is None:
        return refuse(table, looked_for, said)
    routed = Routed(
        request=request,
        head=looked_for.head,
        authority=authority,
        headers=(*taken_out, *kept, *own),
        end_to_end=(*kept, *own),
        sent_on=(*without_forwarded(kept), *own),
        body_length=fields.length,
        listener=listener,
        found=found,
        sent=looked_for.sent,
        own=own,
    )
    return act(table, routed, said)


def _read_fields(request: Request) -> SentFields:
    """The fields as those of a head of HTTP/1.1 are read.

    Raises:
        BadHead: the wire refuses it.
    """
    if not is_token(request.method):
        raise BadHead(400, "the method is no token")
    host = ("host", request.authority.strip(" \t"))
    return sort_fields((host, *well_formed(request.headers)))


def decide_json(table: Table, request: bytes) -> bytes:
    """`decide` as the contract has it: JSON in, JSON out.

    Raises:
        ValueError: the request is none.
    """
    return encode_decision(decide(table, decode_request(request)))

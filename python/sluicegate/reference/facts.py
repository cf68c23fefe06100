"""What policies, expressions and matches see of a request; of where it comes from what its backend is told."""

from __future__ import annotations

from collections.abc import Iterable

from sluicegate import ir

from .addresses import canonical_text
from .contract import Headers, Request
from .head import is_forwarding_name
from .match import Head
from .names import spelling
from .passage import Facts
from .policies import drops_underscores, owned_fields
from .table import Listener


def without_forwarded(headers: Headers) -> Headers:
    """Fields without what a client says of where it comes from: that is never sent on as it is."""
    return tuple(field for field in headers if not is_forwarding_name(field[0]))


def scheme_of(listener: Listener) -> str:
    """What is spoken there."""
    return "https" if listener.resource.protocol is ir.ListenerProtocol.HTTPS else "http"


def told(request: Request, listener: Listener, authority: str, sent_on: Headers, own: Headers) -> Headers:
    """Fields as the backend is told them.

    Args:
        request: whose word about where it comes from counts for nothing.
        listener: that it came to.
        authority: that it is for.
        sent_on: fields that a backend may get.
        own: those of them that filters of the listener have set: they go in place of the gateway's.
    """
    address = canonical_text(request.from_)
    said = (
        *(("x-forwarded-for", each) for each in (address,) if each is not None),
        ("x-forwarded-proto", scheme_of(listener)),
        ("x-forwarded-host", authority),
    )
    are_set = {name.lower() for name, _ in own}
    return (*sent_on, *(field for field in said if field[0] not in are_set))


def judged(policies: Iterable[ir.StanzaBase], headers: Headers, left: Headers) -> Headers:
    """What policies look for credentials in.

    Args:
        policies: all that hold.
        headers: all fields.
        left: those that are left of them by `taken_out`.
    """
    policies = tuple(policies)
    owned, drops = owned_fields(policies), drops_underscores(policies)
    sought = {name.lower() for policy in policies for name in policy.credential_fields() if spelling(name) in owned}
    seen = (field for field in headers if field[0].lower() in sought and not (drops and "_" in field[0]))
    return (*left, *seen)


def taken_out(policies: Iterable[ir.StanzaBase], headers: Headers, own: Headers) -> Headers:
    """Fields without those that are the policies' own, and that clients may not send; `own`: the last of them."""
    policies = tuple(policies)
    owned, drops = owned_fields(policies), drops_underscores(policies)
    sent = len(headers) - len(own)
    return tuple(
        (name, value)
        for place, (name, value) in enumerate(headers)
        if spelling(name) not in owned and not (drops and place < sent and "_" in name)
    )


def facts_of(
    request: Request,
    listener: Listener,
    head: Head,
    rule: ir.HttpRule | None,
    *,
    authority: str,
    headers: Headers,
    told: Headers,
    sent: Headers,
    body_length: int | None,
) -> Facts:
    """What is known of a request; `rule`: the one that takes it, if one does. The rest is as of `Facts`."""
    return Facts(
        address=request.from_,
        method=request.method,
        scheme=scheme_of(listener),
        host=head.host,
        authority=authority,
        path=head.path,
        query=head.query,
        headers=headers,
        told=told,
        sent=sent,
        sni=request.sni,
        listener=listener.resource.id,
        route="" if rule is None else rule.route,
        rule="" if rule is None else rule.id,
        grpc=rule is not None and rule.grpc,
        body_length=body_length,
        certificate=request.certificate,
        assumed=request.identity,
    )

"""What the gateway does with a request or a connection."""

from __future__ import annotations

from typing import Literal

import msgspec

Outcome = Literal["forward", "respond", "close"]

#: Why; ARCHITECTURE.md, "The `decide` contract", says when each is given.
Reason = Literal[
    "backend_invalid",
    "bad_request",
    "body_too_large",
    "cors_preflight",
    "csrf",
    "expectation_failed",
    "fault",
    "forbidden",
    "forwarded",
    "headers_too_large",
    "method_not_allowed",
    "misdirected",
    "no_backend",
    "no_endpoint",
    "no_listener",
    "no_route",
    "policy_invalid",
    "redirect",
    "respond",
    "rule_invalid",
    "scheme_mismatch",
    "unauthenticated",
    "unrecognized_name",
    "unsupported_transfer_coding",
]


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway answers by itself.

    Attributes:
        status: of HTTP.
        headers: name and value, in order.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()


class Forwarded(msgspec.Struct, frozen=True, kw_only=True):
    """The request as the backend gets it; hop-by-hop fields and those that say where it came from are not part of it.

    Attributes:
        method: such as `GET`.
        authority: host, and the port where there is one.
        target: path and query.
        headers: name and value, in order.
    """

    method: str
    authority: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()


class WeightedBackend(msgspec.Struct, frozen=True, kw_only=True):
    """A backend of a rule.

    Attributes:
        backend: `namespace/service:port`; None: it cannot be used, and its share is answered 500 or closed.
        weight: its share of the sum of all weights of the rule.
    """

    backend: str | None
    weight: int


class PolicyVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What one policy says.

    Attributes:
        kind: of the policy.
        stanza: the part of it that holds.
        policy: such as `ClientPolicy/default/uploads`.
        verdict: `pass`, `deny`; `asked`: only whom the gateway would ask can say, or what it has counted; a decision
            takes that for `pass`; `absent`: the request has no credential of the kind, or is not exempt.
    """

    kind: str
    stanza: str
    policy: str = msgspec.field(name="from")
    verdict: Literal["pass", "deny", "asked", "absent"]


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway does with a request or a connection.

    Attributes:
        outcome: `forward` or `respond`; of a connection `forward` or `close`, and so of a request whose connection is
            carried unread or ends in its handshake.
        status: of the answer that the gateway gives; 0 where it forwards or closes.
        reason: `forwarded`, `redirect`, `no_route` and so on, as in ARCHITECTURE.md.
        listener: that takes it, such as `Gateway/default/example-gateway/http`.
        route: that takes it, such as `HTTPRoute/default/example-httproute`; `explain --ingress`: an Ingress.
        rule: index in the route's rules.
        match: index in the rule's matches.
        backend: `namespace/service:port` that it is forwarded to; with weights one of several, by `entropy`.
        backends: all that the rule has, with their weights.
        endpoints: of the backend, `address:port`.
        request: as it is forwarded; None for a connection, and where the gateway does not read what it carries.
        mirrors: backends that get a copy.
        response: what the gateway answers.
        policies: what policies say, in their order, up to the first that refuses.
    """

    outcome: Outcome
    status: int
    reason: Reason
    listener: str | None = None
    route: str | None = None
    rule: int | None = None
    match: int | None = None
    backend: str | None = None
    backends: tuple[WeightedBackend, ...] = ()
    endpoints: tuple[str, ...] = ()
    request: Forwarded | None = None
    mirrors: tuple[str, ...] = ()
    response: Answer | None = None
    policies: tuple[PolicyVerdict, ...] = ()

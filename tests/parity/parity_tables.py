"""Tables of HTTP rules made by Hypothesis (`parity_rules`), and what they share with those of connections."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from hypothesis import strategies as st
from parity_rules import BACKENDS, listener_edits, matches, responds, response_edits, rule_filters, weighted_backends

from sluicegate import ir

HOSTNAMES = ("a.test", "b.a.test", "c.b.a.test", "*.a.test", "*.b.a.test", "*.test", "other.example")

LISTENERS = tuple(
    ir.Listener(
        id=f"Gateway/n/{gateway}/{protocol.value.lower()}-{name}",
        gateway=f"n/{gateway}",
        addresses=addresses,
        port=port,
        bind_port=port + 8000,
        protocol=protocol,
        hostname=hostname,
    )
    for protocol, port in ((ir.ListenerProtocol.HTTP, 80), (ir.ListenerProtocol.HTTPS, 443))
    for gateway, name, hostname, addresses in (
        ("g", "any", "", ()),
        ("g", "a", "a.test", ()),
        ("h", "wildcard", "*.a.test", ()),
        ("h", "top", "*.test", ()),
        ("h", "v4", "", ("127.0.0.1",)),
        ("h", "both", "*.a.test", ("127.0.0.1", "::1")),
    )
)
#: Routes and indices of the rules of a table.
PLACES = tuple(
    tuple((route, index) for route in routes for index in range(rules))
    for routes, rules in (
        (("HTTPRoute/n/a",), 1),
        (("HTTPRoute/n/a",), 3),
        (("HTTPRoute/n/b", "HTTPRoute/n-/a"), 1),
        (("HTTPRoute/n/a", "HTTPRoute/n/b", "HTTPRoute/n-/a", "HTTPRoute/m/b"), 1),
        (("HTTPRoute/n/b", "HTTPRoute/n/a", "HTTPRoute/m/b"), 2),
        (("HTTPRoute/n/b", "HTTPRoute/n/a", "HTTPRoute/n-/a", "HTTPRoute/m/b"), 2),
    )
)


hostnames = st.one_of(
    st.just(()),
    st.just(()),
    st.just(()),
    st.just(("*.test", "other.example")),
    st.lists(st.sampled_from(HOSTNAMES), min_size=1, max_size=3, unique=True).map(tuple),
)


_Rule = TypeVar("_Rule", ir.HttpRule, ir.L4Rule)


@st.composite
def attached_together(
    draw: st.DrawFn, rules: list[_Rule], listeners: list[ir.Listener]
) -> tuple[tuple[ir.Attachment, ...], list[_Rule]]:
    """Some of the rules that are attached to all listeners name them at once; another table's attachment has others."""
    every = tuple(listener.id for listener in listeners)
    attachment = ir.Attachment(id="n/g/all", gateway="n/g", listeners=every)
    attachments = draw(st.sampled_from(((), (attachment,), (attachment,))))
    changed = [
        msgspec.structs.replace(rule, listeners=(), attachments=(attachment.id,))
        if attachments and rule.listeners == every and draw(st.booleans())
        else rule
        for rule in rules
    ]
    return attachments, changed


@st.composite
def tables(draw: st.DrawFn, *, with_filters: bool) -> bytes:
    """The JSON of a full state of up to eight rules."""
    listeners = draw(st.lists(st.sampled_from(LISTENERS), min_size=1, max_size=5, unique=True))
    if draw(st.sampled_from((True,) * 7 + (False,))):
        listeners = [*{listener.id: listener for listener in (LISTENERS[0], *listeners)}.values()]
    if with_filters:
        edited = draw(st.sampled_from(range(len(listeners))))
        own: list[ir.ListenerFilter] = draw(st.lists(st.one_of(listener_edits, response_edits), max_size=3))
        own += draw(st.one_of(*[st.just([])] * 15, st.lists(responds, min_size=1, max_size=1)))
        listeners[edited] = msgspec.structs.replace(listeners[edited], filters=tuple(own))
    attached = st.sampled_from(
        [tuple(listener.id for listener in listeners)] * 12 + [(listener.id,) for listener in listeners]
    )
    rules = [
        ir.HttpRule(
            id=f"{route}/{index}",
            route=route,
            created=draw(st.sampled_from((0, 1, 2))),
            index=index,
            listeners=draw(attached),
            hostnames=draw(hostnames),
            matches=tuple(draw(st.lists(matches, min_size=1, max_size=3))),
            filters=draw(rule_filters()) if with_filters else (),
            backends=draw(weighted_backends if draw(st.sampled_from((True,) * 9 + (False,))) else st.just(()))
            if with_filters
            else (ir.WeightedBackend(backend=BACKENDS[0], weight=1),),
            session=draw(st.sampled_from(SESSIONS)),
            invalid=with_filters and draw(st.sampled_from([False] * 9 + [True])),
        )
        for route, index in draw(st.sampled_from(PLACES))
    ]
    together, rules = draw(attached_together(rules, listeners))
    transaction = ir.Transaction(
        version=ir.VERSION,
        generation=1,
        full=True,
        upsert=ir.Resources(
            listeners=tuple(listeners),
            attachments=together,
            http_rules=tuple(rules),
            backends=tuple(draw(backends())),
            endpoints=tuple(draw(endpoints())),
            policies=POLICIES,
        ),
    )
    return ir.encode(transaction)


#: Of the first of its kind a backend has it.
POLICIES = (
    ir.BackendTls(id="n/broken", hostname="b.test", invalid=True),
    ir.BackendTls(id="n/good", hostname="b.test"),
    ir.BackendPolicy(id="n/odd", invalid=True),
    ir.BackendPolicy(id="n/turns", load_balancing=ir.Hash(key=(ir.ClientKey(), ir.HeaderKey(name="x-user")))),
    ir.BackendTraffic(id="n/kept", session=ir.Session(carrier=ir.SessionCookie(name="s", path="/"))),
)

SESSIONS = (
    *(None,) * 4,
    ir.Session(carrier=ir.SessionCookie(name="s", path="/")),
    ir.Session(carrier=ir.SessionHeader(name="x"), absolute_timeout_ms=1),
)


@st.composite
def backends(draw: st.DrawFn) -> list[ir.Backend]:
    """The second one may have policies."""
    named = draw(
        st.sampled_from(
            [
                (),
                (),
                (),
                ("n/broken",),
                ("n/good", "n/broken"),
                ("n/broken", "n/good"),
                ("n/odd",),
                ("n/good", "n/turns", "n/odd"),
                ("n/kept",),
            ]
        )
    )
    return [ir.Backend(id=identity, policies=named if identity == BACKENDS[1] else ()) for identity in BACKENDS]


@st.composite
def endpoints(draw: st.DrawFn) -> list[ir.Endpoint]:
    """The first backend always has one; the others have ready, draining, both or none."""
    first = f"{BACKENDS[0]}@127.0.0.1:1"
    chosen = [ir.Endpoint(id=first, backend=BACKENDS[0], address="127.0.0.1", port=1)]
    for backend in BACKENDS[1:]:
        for port, state in enumerate(draw(st.lists(st.sampled_from(ir.EndpointState), max_size=3)), 2):
            identity = f"{backend}@127.0.0.1:{port}"
            chosen.append(ir.Endpoint(id=identity, backend=backend, address="127.0.0.1", port=port, state=state))
    return chosen

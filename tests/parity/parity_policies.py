"""Tables with policies, and requests that these policies think different things of.

A kind adds its stanzas to `STANZAS`, and what its requests carry to `SENT`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from sluicegate import ir
from sluicegate.reference import Request

BACKEND = "n/one:80"
LISTENERS = ("Gateway/n/g/http", "Gateway/n/g/other")
OBJECTS = ("a", "b", "c")
LIMIT = ir.RateLimit(name="limit", requests=1, per_milliseconds=1_000, burst=1, when="request.method == 'GET'")

_SERVICES = st.builds(
    ir.ExternalService,
    backend=st.just(BACKEND),
    protocol=st.sampled_from(ir.ExternalProtocol),
    allowed_response_headers=st.sampled_from(((), ("x-user",), ("x-group", "x-user"))),
    timeout_ms=st.just(1),
)

#: From what all stanzas have to a strategy for one of each kind.
STANZAS: tuple[Callable[[dict[str, Any]], st.SearchStrategy[ir.StanzaBase]], ...] = (
    lambda head: st.builds(ir.ClientAddress, **head, trusted_proxies=st.sampled_from(((), ("10.0.0.0/8",)))),
    lambda head: st.builds(ir.ClientBody, **head, max_bytes=st.sampled_from((0, 4, 5, 100))),
    lambda head: st.builds(ir.RateLimits, **head, limits=st.sampled_from(((), (LIMIT,)))),
    lambda head: st.builds(ir.ExternalAuth, **head, service=_SERVICES),
)
#: Fields of requests.
SENT: tuple[st.SearchStrategy[tuple[str, str]], ...] = (
    st.tuples(st.just("content-length"), st.sampled_from(("0", "4", "5", "6", "101"))),
    st.tuples(st.sampled_from(("x", "cookie")), st.sampled_from(("1", "a=1"))),
    st.tuples(st.sampled_from(("X-User", "x_user", "x.group", "xxgroup")), st.just("root")),
)


def _head(kind: type[ir.StanzaBase], name: str) -> dict[str, Any]:
    rarely = st.sampled_from((False,) * 5 + (True,))
    return {
        "id": st.just(f"{kind.kind}/n/{name}/{kind.stanza}"),
        "overrides": rarely,
        "off": rarely,
        "invalid": st.sampled_from((False,) * 11 + (True,)),
    }


@st.composite
def _stanzas(draw: st.DrawFn) -> list[ir.StanzaBase]:
    """Three policies, each with some of all stanzas."""
    found: list[ir.StanzaBase] = []
    for name in OBJECTS:
        for make, kind in zip(STANZAS, KINDS, strict=True):
            if draw(st.booleans()):
                found.append(draw(make(_head(kind, name))))
    return found


#: The kinds of `STANZAS`, in their order.
KINDS: tuple[type[ir.StanzaBase], ...] = (ir.ClientAddress, ir.ClientBody, ir.RateLimits, ir.ExternalAuth)


def _named(draw: st.DrawFn, stanzas: list[ir.StanzaBase], *, many: bool) -> tuple[str, ...]:
    """What a listener or a rule names: of each stanza one at most, but a listener several that tighten."""
    names: list[str] = []
    for kind in KINDS:
        if not many and "http_rule" not in kind.acts_on:
            continue
        own = [item.id for item in stanzas if type(item) is kind]
        most = 2 if many and kind.tightens else 1
        names += draw(st.lists(st.sampled_from(own), max_size=most, unique=True)) if own else []
    return tuple(draw(st.permutations(names)))


@st.composite
def policy_tables(draw: st.DrawFn) -> ir.Transaction:
    """Two listeners with three rules each of which may name policies, one of them with all filters."""
    stanzas = draw(_stanzas())
    cors = ir.Cors(allow_origins=("https://a.test",), max_age=5)
    filters: tuple[ir.Filter, ...] = (ir.ResponseHeaders(set=(ir.HeaderValue(name="x", value="1"),)), cors)
    redirect = ir.Redirect(status=301, hostname="r.test")
    rules = tuple(
        ir.HttpRule(
            id=f"HTTPRoute/n/r/{index}",
            route="HTTPRoute/n/r",
            index=index,
            listeners=LISTENERS,
            matches=(ir.Match(path=ir.PathPrefix(value=path)),),
            filters=own,
            backends=(ir.WeightedBackend(backend=BACKEND, weight=1),),
            policies=_named(draw, stanzas, many=False),
        )
        for index, (path, own) in enumerate((("/", ()), ("/filtered", filters), ("/redirected", (redirect,))))
    )
    listeners = tuple(
        ir.Listener(
            id=identity,
            gateway="n/g",
            port=80 + place,
            bind_port=8080 + place,
            protocol=ir.ListenerProtocol.HTTP,
            policies=_named(draw, stanzas, many=True),
        )
        for place, identity in enumerate(LISTENERS)
    )
    return ir.Transaction(
        version=ir.VERSION,
        generation=1,
        full=True,
        upsert=ir.Resources(
            listeners=listeners,
            http_rules=rules,
            backends=(ir.Backend(id=BACKEND),),
            endpoints=(ir.Endpoint(id=f"{BACKEND}@10.0.0.1:80", backend=BACKEND, address="10.0.0.1", port=80),),
            policies=tuple(stanzas),  # type: ignore[arg-type] # each is one of the union
        ),
    )


policy_requests = st.lists(
    st.builds(
        Request,
        bind_port=st.sampled_from((8080, 8081)),
        method=st.sampled_from(("GET", "POST")),
        authority=st.just("a.test"),
        target=st.sampled_from(("/", "/filtered", "/redirected", "/x?key=1&b=2")),
        headers=st.lists(st.one_of(*SENT), max_size=3, unique_by=lambda field: field[0]).map(tuple),
        from_=st.sampled_from((None, "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1")),
    ),
    min_size=12,
    max_size=12,
)

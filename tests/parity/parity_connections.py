"""Tables of L4 rules, and connections and datagrams, made by Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st
from parity_requests import SENT_HOSTS, entropies
from parity_rules import BACKENDS, some
from parity_tables import POLICIES, attached_together, backends, endpoints, hostnames

from sluicegate import ir
from sluicegate.reference import Connection, Request

L4_LISTENERS = tuple(
    ir.Listener(
        id=f"Gateway/n/g/{name}",
        gateway="n/g",
        addresses=addresses,
        port=port,
        bind_port=port,
        protocol=protocol,
        hostname=hostname,
        tls=ir.ListenerTls(certificates=()) if terminates else None,
    )
    for name, protocol, port, hostname, addresses, terminates in (
        ("pass", ir.ListenerProtocol.TLS, 8443, "", (), False),
        ("pass-a", ir.ListenerProtocol.TLS, 8443, "a.test", (), False),
        ("https", ir.ListenerProtocol.HTTPS, 8443, "b.a.test", (), True),
        ("terminate", ir.ListenerProtocol.TLS, 8443, "*.a.test", (), True),
        ("https-top", ir.ListenerProtocol.HTTPS, 8443, "*.test", (), True),
        ("terminate-v4", ir.ListenerProtocol.TLS, 8443, "", ("127.0.0.1",), True),
        ("tcp", ir.ListenerProtocol.TCP, 8053, "", (), False),
        ("tcp-v4", ir.ListenerProtocol.TCP, 8053, "", ("127.0.0.1", "::1"), False),
        ("udp", ir.ListenerProtocol.UDP, 8053, "", (), False),
        ("udp-v6", ir.ListenerProtocol.UDP, 8053, "", ("::1",), False),
        ("http", ir.ListenerProtocol.HTTP, 8080, "", (), False),
    )
)
L4_ROUTES = ("TLSRoute/n/a", "TLSRoute/n/b", "TLSRoute/n-/a", "TCPRoute/n/a", "UDPRoute/n/a", "UDPRoute/m/b")
l4_backends = st.lists(
    st.builds(
        ir.WeightedBackend,
        backend=st.sampled_from((*BACKENDS, *BACKENDS, None)),
        weight=st.sampled_from((1, 1, 2, 0)),
    ),
    min_size=1,
    max_size=3,
).map(tuple)


@st.composite
def l4_tables(draw: st.DrawFn) -> bytes:
    """The JSON of a full state with listeners of every protocol, L4 rules, and one rule of HTTP."""
    listeners = draw(st.lists(st.sampled_from(L4_LISTENERS), min_size=7, max_size=11, unique=True))
    identities = [listener.id for listener in listeners]
    place = st.tuples(st.sampled_from(L4_ROUTES), st.integers(0, 1))
    places = draw(st.lists(place, min_size=3, max_size=7, unique=True))
    rules = [
        ir.L4Rule(
            id=f"{route}/{index}",
            route=route,
            created=draw(st.sampled_from((0, 1, 2))),
            index=index,
            listeners=tuple(draw(st.sampled_from([identities] * 9 + [[identity] for identity in identities]))),
            hostnames=draw(st.one_of(st.just(()), st.just(()), hostnames)),
            backends=draw(l4_backends if draw(st.sampled_from((True,) * 7 + (False,))) else st.just(())),
        )
        for route, index in places
    ]
    over_http = ir.HttpRule(
        id="HTTPRoute/n/a/0",
        route="HTTPRoute/n/a",
        index=0,
        listeners=tuple(identities),
        matches=(ir.Match(path=ir.PathPrefix(value="/")),),
        backends=(ir.WeightedBackend(backend=BACKENDS[0], weight=1),),
    )
    together, rules = draw(attached_together(rules, listeners))
    transaction = ir.Transaction(
        version=ir.VERSION,
        generation=1,
        full=True,
        upsert=ir.Resources(
            listeners=tuple(listeners),
            attachments=together,
            http_rules=(over_http,),
            l4_rules=tuple(rules),
            backends=tuple(draw(backends())),
            endpoints=tuple(draw(endpoints())),
            policies=POLICIES,
        ),
    )
    return ir.encode(transaction)


server_names = st.sampled_from(
    (None, "", "a.test", "B.A.test", "c.b.a.test", "x.test", "other.example", "test", ".a.test")
)
l4_addresses = st.sampled_from(("",) * 6 + ("127.0.0.1", "::1", "10.9.9.9"))


@st.composite
def connections(draw: st.DrawFn, size: tuple[int, int] = (4, 3)) -> list[Request | Connection]:
    """Every server name with every socket, as a connection, and as a request where it is TLS."""
    sockets = (("tcp", 8443),) * 9 + (("tcp", 8053), ("udp", 8053)) * 4 + (("tcp", 8080), ("udp", 8443), ("tcp", 9))
    found: list[Request | Connection] = []
    for name in draw(some(server_names, size[0])):
        for transport, port in draw(some(st.sampled_from(sockets), size[1])):
            address, entropy = draw(l4_addresses), draw(entropies)
            found.append(Connection(transport=transport, bind_port=port, address=address, sni=name, entropy=entropy))
            host = draw(st.sampled_from(SENT_HOSTS))
            found.append(Request(bind_port=port, address=address, sni=name, method="GET", authority=host, target="/"))
    return found

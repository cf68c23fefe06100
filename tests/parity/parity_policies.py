"""Tables with policies, and requests that these policies think different things of.

A kind adds its stanzas to `STANZAS`, and what its requests carry to `SENT`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from sluicegate import ir
from sluicegate.reference import Request
from sluicegate.reference.contract import Certificate, Identity

BACKEND = "n/one:80"
LISTENERS = ("Gateway/n/g/http", "Gateway/n/g/other")
OBJECTS = ("a", "b", "c")
LIMIT = ir.RateLimit(name="limit", requests=1, per_milliseconds=1_000, burst=1, when="request.method == 'GET'")
AT_ONCE = ir.RateLimit(name="at-once", requests=1, per_milliseconds=1_000, burst=1, concurrent=True)
CACHE = ir.VerdictCache(ttl_ms=1_000, headers=("cookie",))

_ALL, _HALF = (ir.Percentage(numerator=numerator, denominator=2) for numerator in (2, 1))
PAGE = ir.ErrorPage(
    statuses=(ir.StatusRange(first=400, last=599),),
    content=ir.PageService(backend=BACKEND, path="/", timeout_ms=1),
)

_SERVICES = st.builds(
    ir.ExternalService,
    backend=st.just(BACKEND),
    protocol=st.sampled_from(ir.ExternalProtocol),
    allowed_response_headers=st.sampled_from(((), ("x-user",), ("x-group", "x-user"), ("authorization",))),
    timeout_ms=st.just(1),
)
#: A key that is known, to two clients by their own keys.
KEYS = "".join(f"{hashlib.sha256(key.encode()).hexdigest()} {client}\n" for key, client in (("1", "ann"), ("a", "bob")))
USERS = "ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"

_clients = st.lists(
    st.sampled_from(("192.0.2.0/24", "192.0.2.1", "2001:db8::/32", "::/0", "0.0.0.0/0", "::ffff:192.0.2.0/120")),
    max_size=2,
).map(tuple)
_methods = st.lists(st.sampled_from(("GET", "POST")), max_size=1).map(tuple)
_when = st.sampled_from(
    (
        "",
        "",
        "",
        "request.method == 'GET'",
        "'1' in request.headers['x']",
        "request.headers['x'].all(it, it == '1')",
        "has(request.headers.cookie) && client.address != ''",
        "identity.user == 'ann'",
        "has(identity.claims.sub) || 'read' in identity.scopes",
        "request.query.contains('key') && request.path.matches('^/x')",
        "request.headers['none'][0] == ''",
        "request.host.endsWith('.test') && request.scheme == 'http'",
        "'192.0.2.1' in request.headers['x-forwarded-for'] && !('x-real-ip' in request.headers)",
    )
)
_values = st.lists(
    st.sampled_from(("1", "1, 2", "a.test", "A.test:80", "a.test.:8080", "a=1", "root", "staff", "http", "")),
    min_size=1,
    max_size=2,
).map(tuple)
_rule = st.builds(
    ir.AccessRule,
    deny=st.booleans(),
    clients=_clients,
    methods=st.lists(st.sampled_from(("GET", "get", "POST")), max_size=1).map(tuple),
    headers=st.lists(
        st.builds(ir.NamedValues, name=st.sampled_from(("x", "x-group", "Host", "X-Forwarded-Proto")), values=_values),
        max_size=1,
    ).map(tuple),
    users=st.lists(st.sampled_from(("ann", "bob")), max_size=1).map(tuple),
    claims=st.lists(
        st.builds(
            ir.NamedValues, name=st.sampled_from(("groups", "org.id", "n")), values=st.just(("staff", "7", "true"))
        ),
        max_size=1,
    ).map(tuple),
    scopes=st.lists(st.just("read"), max_size=1).map(tuple),
    when=_when,
)
_told = ("", "x", "X-User", "Content_Length", "Authorization")
_proof = {"optional": st.sampled_from((True, True, False)), "forward_header": st.sampled_from(_told)}


def _exempt(head: dict[str, Any]) -> st.SearchStrategy[ir.StanzaBase]:
    """One that asks for nothing does not compile."""
    found = st.builds(ir.AccessExempt, **head, clients=_clients, methods=_methods, when=_when)
    return found.filter(lambda it: bool(it.off or it.clients or it.methods or it.when))


def _keys(head: dict[str, Any]) -> st.SearchStrategy[ir.StanzaBase]:
    sources = st.sampled_from(
        (
            ir.HeaderCredential(name="X"),
            ir.HeaderCredential(name="authorization", prefix="Bearer "),
            ir.QueryCredential(name="key"),
            ir.CookieCredential(name="a"),
        )
    )
    from_ = st.lists(sources, min_size=1, max_size=2).map(tuple)
    realm = st.sampled_from(("r", 'a "b"'))
    return st.builds(
        ir.AccessApiKey, **head, **_proof, keys=st.just("keys"), from_=from_, realm=realm, keep=st.booleans()
    )


def _jwt(head: dict[str, Any]) -> st.SearchStrategy[ir.StanzaBase]:
    sources = (
        ir.HeaderCredential(name="Authorization", prefix="Bearer "),
        ir.QueryCredential(name="key"),
        ir.CookieCredential(name="a"),
    )
    forward = (ir.ClaimHeader(claim="sub", header="x-user"), ir.ClaimHeader(claim="groups", header="x-group"))
    remote = ir.RemoteKeys(backend=BACKEND, path="/keys", service="one.n.svc", refresh_ms=10_000)
    provider = ir.JwtProvider(name="p", issuer="i", audiences=("*",), keys="{}", forward=forward)
    fetched = ir.JwtProvider(name="q", issuer="j", audiences=("*",), remote=remote, forward=forward[1:])
    return st.builds(
        ir.AccessJwt,
        **head,
        optional=st.booleans(),
        providers=st.sampled_from(((provider,), (fetched, provider))),
        from_=st.lists(st.sampled_from(sources), min_size=1, max_size=2).map(tuple),
        realm=st.sampled_from(("r", 'a "b"')),
        keep=st.booleans(),
    )


#: From what all stanzas have to a strategy for one of each kind.
STANZAS: tuple[Callable[[dict[str, Any]], st.SearchStrategy[ir.StanzaBase]], ...] = (
    lambda head: st.builds(
        ir.ClientAddress,
        **head,
        trusted_proxies=st.sampled_from(((), ("10.0.0.0/8",))),
        proxy_protocol=st.sampled_from(ir.AcceptProxy),
    ),
    lambda head: st.builds(
        ir.ClientTls, **head, versions=st.builds(ir.TlsVersions, min=st.sampled_from((None, *ir.TlsVersion)))
    ),
    lambda head: st.builds(
        ir.ClientCertificateHeader,
        **head,
        header=st.sampled_from(("x-forwarded-client-cert", "x-user")),
        fields=st.lists(st.sampled_from(ir.CertificateField), max_size=5).map(tuple),
    ),
    lambda head: st.builds(ir.ClientConnections, **head, max=st.integers(0, 2), max_duration_ms=st.integers(0, 2)),
    lambda head: st.builds(ir.ClientTimeouts, **head, head_ms=st.integers(0, 2), request_ms=st.integers(0, 2)),
    lambda head: st.builds(
        ir.ClientHeaders,
        **head,
        max_bytes=st.sampled_from((0, 0, 0, 30, 60)),
        max_count=st.sampled_from((0, 0, 0, 2, 3)),
        underscores=st.sampled_from(ir.Underscores),
    ),
    lambda head: st.builds(ir.ClientHttp2, **head, max_streams=st.integers(0, 2)),
    lambda head: st.builds(
        ir.ClientBody, **head, max_bytes=st.sampled_from((0, 4, 5, 100)), timeout_ms=st.integers(0, 1)
    ),
    lambda head: st.builds(
        ir.ClientAccessLog,
        **head,
        lines=st.sampled_from(ir.LogLines),
        sample=st.builds(ir.LogSample, numerator=st.integers(0, 2), denominator=st.just(2)),
    ),
    lambda head: st.builds(ir.ClientTracing, **head, propagation=st.sampled_from(((), (ir.TraceFormat.B3,)))),
    lambda head: st.builds(ir.RateLimits, **head, limits=st.sampled_from(((), (LIMIT,), (LIMIT, AT_ONCE)))),
    _exempt,
    lambda head: st.builds(
        ir.AccessCertificate,
        **head,
        **_proof,
        subject_alt_names=st.lists(
            st.sampled_from((ir.HostnameSan(value="c.test"), ir.UriSan(value="spiffe://c"))), max_size=1
        ).map(tuple),
    ),
    _keys,
    _jwt,
    lambda head: st.builds(
        ir.AccessBasic, **head, **_proof, users=st.just("users"), realm=st.just("r"), keep=st.booleans()
    ),
    lambda head: st.builds(
        ir.AccessCsrf,
        **head,
        trusted_origins=st.lists(
            st.sampled_from(("https://B.test:443", "http://*.b.test", "https://a.test:8443")), max_size=2
        ).map(tuple),
    ),
    lambda head: st.builds(
        ir.AccessAuthorization,
        **head,
        rules=st.lists(_rule, max_size=3).map(tuple),
        default_allow=st.booleans(),
    ),
    lambda head: st.builds(
        ir.AccessExternal,
        **head,
        service=_SERVICES,
        cache=st.sampled_from((None, CACHE)),
        sign_in=st.sampled_from((None, ir.SignIn(url="https://login.test/start", parameter="rd"))),
    ),
    # Of a listener it overrides, and is asked before a rule is looked for.
    lambda head: st.builds(ir.ExternalAuth, **{**head, "overrides": st.booleans()}, service=_SERVICES),
    lambda head: st.builds(
        ir.FilterFault,
        **head,
        when=_when.map(lambda text: text or None),
        delay=st.sampled_from((None, ir.FaultDelay(milliseconds=1, percentage=_ALL))),
        abort=st.sampled_from(
            (None, ir.FaultAbort(status=418, percentage=_ALL), ir.FaultAbort(status=503, percentage=_HALF))
        ),
    ),
    lambda head: st.builds(
        ir.FilterCredential,
        **head,
        header=st.sampled_from(("X", "Authorization", "X-User")),
        secret=st.just("credential"),
        backend=st.sampled_from((None, None, 0, 1)),
    ),
    lambda head: st.builds(ir.FilterBuffer, **head, max_bytes=st.sampled_from((4, 5, 100))),
    lambda head: st.builds(ir.FilterErrorPages, **head, pages=st.sampled_from(((), (PAGE,)))),
    lambda head: st.builds(
        ir.FilterTelemetry, **head, sampling=st.sampled_from((ir.Percentage(numerator=0, denominator=1),))
    ),
)
#: Fields of requests.
SENT: tuple[st.SearchStrategy[tuple[str, str]], ...] = (
    st.tuples(st.just("content-length"), st.sampled_from(("0", "4", "5", "6", "101"))),
    st.tuples(st.sampled_from(("X-User", "x_user", "x.group", "xxgroup")), st.just("root")),
    st.tuples(st.sampled_from(("x", "cookie")), st.sampled_from(("1", "2", "2, 1", "a=1", 'b=2; a="a"'))),
    st.tuples(st.just("x"), st.just("1")),
    st.tuples(st.sampled_from(("x-forwarded-for", "X_Forwarded_Proto", "X-Real-IP")), st.just("192.0.2.1")),
    st.tuples(st.sampled_from(("x_1", "x_forwarded_client_cert", "X-Forwarded-Client-Cert")), st.just("\u00e9")),
    st.tuples(
        st.just("authorization"),
        st.sampled_from(
            (
                "Basic YW5uOnBhc3N3b3Jk",
                "basic YW5u",
                "Bearer 1",
                "bearer\ta",
                "bearera",
                "Bearer",
                "Basic YTpiOmN=",
                "Basic /zpi",
            )
        ),
    ),
    st.tuples(st.just("sec-fetch-site"), st.sampled_from(("same-origin", "none", "cross-site", "same-site"))),
    st.tuples(
        st.just("origin"),
        st.sampled_from(
            ("http://a.test", "https://a.test:443", "https://b.test", "http://x.b.test", "http://b.test", "null")
        ),
    ),
)


def _head(kind: type[ir.StanzaBase], name: str) -> dict[str, Any]:
    rarely = st.sampled_from((False,) * 5 + (True,))
    return {
        "id": st.just(f"{kind.kind}/n/{name}/{kind.stanza}"),
        "overrides": rarely,
        "off": rarely,
        "invalid": st.sampled_from((False,) * 63 + (True,)),
    }


@st.composite
def _stanzas(draw: st.DrawFn) -> list[ir.StanzaBase]:
    """Three policies, each with some of all stanzas."""
    # Some, so that what one refuses does not hide what the others say.
    return [draw(stanza) for stanza in _OF_OBJECTS if draw(st.integers(0, 2)) == 0]


#: All stanzas, in the order of `STANZAS`.
KINDS: tuple[type[ir.StanzaBase], ...] = tuple(kind for kind in ir.RANKS if issubclass(kind, ir.StanzaBase))

#: Each stanza of each object; made once, since to make a strategy takes longer than to draw from it.
_OF_OBJECTS = tuple(make(_head(kind, name)) for name in OBJECTS for make, kind in zip(STANZAS, KINDS, strict=True))


def _named(draw: st.DrawFn, stanzas: list[ir.StanzaBase], *, many: bool) -> tuple[str, ...]:
    """What a listener or a rule names: of each stanza one at most, but a listener several that tighten."""
    names: list[str] = []
    for kind in KINDS:
        if ("listener" if many else "http_rule") not in kind.acts_on:
            continue
        own = [item.id for item in stanzas if type(item) is kind]
        # A rule has one credential for all backends, and one for each of them.
        most = 2 if (many and kind.tightens) or kind is ir.FilterCredential else 1
        names += draw(st.lists(st.sampled_from(own), max_size=most, unique=True)) if own else []
    return tuple(draw(st.permutations(names)))


@st.composite
def policy_tables(draw: st.DrawFn) -> ir.Transaction:
    """Two listeners with five rules each of which may name policies: one has all filters, one is of calls."""
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
            hostnames=("a.test",),
            matches=(ir.Match(path=ir.PathPrefix(value=path), headers=fields),),
            filters=own,
            backends=(ir.WeightedBackend(backend=BACKEND, weight=1),) * 2,
            grpc=path == "/calls",
            policies=_named(draw, stanzas, many=False),
        )
        for index, (path, own, fields) in enumerate(
            (
                ("/", (), ()),
                ("/filtered", filters, ()),
                ("/redirected", (redirect,), ()),
                ("/calls", (), ()),
                ("/", (), (ir.HeaderMatch(name="x-user", value="root"),)),
            )
        )
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
        secrets=ir.Secrets(
            policy_secrets=(
                ir.PolicySecret(id="keys", data=KEYS),
                ir.PolicySecret(id="users", data=USERS),
                ir.PolicySecret(id="credential", data="Bearer gateway"),
            )
        ),
    )


policy_requests = st.lists(
    st.builds(
        Request,
        bind_port=st.sampled_from((8080, 8081)),
        method=st.sampled_from(("GET", "POST")),
        # What no rule takes has the policies of its listener.
        authority=st.sampled_from(("a.test",) * 6 + ("A.test.:8080",) * 3 + ("b.test",)),
        target=st.sampled_from(
            ("/", "/filtered", "/redirected", "/calls", "/x?key=1&b=2", "/x?key=a&k%65y=1", "/x?b=2&key=%31")
        ),
        entropy=st.sampled_from((0, 1)),
        headers=st.lists(st.one_of(*SENT), max_size=4).map(tuple),
        from_=st.sampled_from((None, "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1")),
        identity=st.one_of(
            st.none(),
            st.none(),
            st.builds(
                Identity,
                proof=st.sampled_from(("basic", "apiKey", "certificate", "jwt")),
                user=st.sampled_from(("", "ann", "eve")),
                claims=st.sampled_from(
                    (
                        {},
                        {"groups": ["staff"], "sub": "x"},
                        {"org": {"id": 7}, "n": True},
                        {"iss": "i", "groups": ["a", 1], "sub": "a\nb"},
                        {"iss": "j", "groups": {"b": ["é"], "a": None}, "sub": "x"},
                    )
                ),
                scopes=st.sampled_from(((), ("read", "write"))),
            ),
        ),
        certificate=st.sampled_from(
            (
                None,
                None,
                Certificate(subject="CN=a", fingerprint="0f", pem="-----BEGIN A-----\na+/=\n"),
                Certificate(subject="CN=\u00e9", uris=("urn:;Hash=1", 'urn:"\\'), dns_names=("a,b",)),
                Certificate(dns_names=("C.test",)),
                Certificate(uris=("spiffe://c",), dns_names=("d\0.test",)),
                Certificate(uris=("spiffe://c",)),
            )
        ),
    ),
    min_size=12,
    max_size=12,
)

"""What an Ingress asks for besides hosts and paths, in nobody's words: providers make features, `emit` says them.

Rules:
- A feature says what is wanted, with the defaults of the source written out; never how the Gateway API says it.
- Each has its causes: every annotation or setting that it comes from, the one that switches it on first.
- A provider gives an Ingress at most one feature of a kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeVar, cast

from .losses import Cause
from .options import Name

#: Name and value of a header field.
Field = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """Base of all.

    Attributes:
        causes: where it comes from; never empty.
    """

    causes: tuple[Cause, ...]

    @property
    def cause(self) -> Cause:
        """The one that switches it on."""
        return self.causes[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed(Feature):
    """Its requests are refused: what protects it cannot be read, and nothing must go on without it.

    Attributes:
        reason: what is wrong.
    """

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegexPaths(Feature):
    """Paths are regular expressions.

    Attributes:
        ignores_case: they match in any case.
    """

    ignores_case: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactPaths(Feature):
    """Paths match themselves alone.

    Attributes:
        types: of paths, as they are written, that this holds for.
    """

    types: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathEdit(Feature):
    r"""The backend gets another path; what a path matches stays as it is.

    Attributes:
        kind: `Prefix`: what the path begins with is replaced; `Add`: something comes before it; `Full`: all of it is
            replaced; `Pattern`: each place where an expression matches.
        replacement: what stands there then, with `\1` for what the first group of an expression matched.
        find: the prefix, or the expression (RE2); an empty prefix is the path of the location.
    """

    kind: Literal["Prefix", "Add", "Full", "Pattern"]
    replacement: str
    find: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewrite(Feature):
    """The path becomes another one.

    Attributes:
        target: a path or URL, with `$1` for what the first group of the path matched.
    """

    target: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRoot(Feature):
    """`/` is sent elsewhere by 302.

    Attributes:
        path: to this one.
    """

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect(Feature):
    """Every request is sent to one URL.

    Attributes:
        url: as it is written; a path alone stays on the host.
        status: of the answer.
    """

    url: str
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpsRedirect(Feature):
    """Requests of plain HTTP are sent to HTTPS.

    Attributes:
        status: of the answer.
        forced: also where the host has no certificate here (TLS ends in front).
        trusts: `X-Forwarded-Proto: https` says that TLS ended in front.
        exempt: beginnings of paths that are not sent there.
    """

    status: int
    forced: bool = False
    trusts: bool = False
    exempt: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WwwRedirect(Feature):
    """The host with `www.`, or without it, is sent to the other one.

    Attributes:
        status: of the answer.
    """

    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Aliases(Feature):
    """The host has other names.

    Attributes:
        names: hosts.
    """

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Passthrough(Feature):
    """The backend ends TLS itself; paths mean nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamHost(Feature):
    """The backend gets another host.

    Attributes:
        host: this one.
    """

    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeaders(Feature):
    """Fields that the backend gets.

    Attributes:
        fields: set in place of those of their names.
    """

    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseHeaders(Feature):
    """Fields that clients get.

    Attributes:
        fields: set in place of those of their names.
        hidden: names of fields of the backend that they do not get.
    """

    fields: tuple[Field, ...] = ()
    hidden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StrictTransport(Feature):
    """Answers over TLS say that the host wants TLS (RFC 6797).

    Attributes:
        value: of the field.
    """

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cors(Feature):
    """Who may read answers from other origins.

    Attributes:
        origins: such as `https://*.example.com`, or `*`.
        methods: that are allowed.
        headers: that requests may have.
        exposed: that scripts see.
        credentials: whether cookies are sent.
        max_age: seconds that an answer to a preflight holds.
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...]
    headers: tuple[str, ...]
    exposed: tuple[str, ...]
    credentials: bool
    max_age: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Canary(Feature):
    """This Ingress takes a part of the requests of another one with the same hosts and paths.

    Attributes:
        header: name of a field that decides; empty: none.
        value: of the field, for the canary; empty: `always`, and `never` for the others.
        pattern: the same as a regular expression, searched for.
        cookie: name of a cookie that decides by `always` and `never`; empty: none.
        weight: of the rest, so many
        total: of so many.
    """

    header: str = ""
    value: str = ""
    pattern: str = ""
    cookie: str = ""
    weight: int = 0
    total: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol(Feature):
    """How backends are spoken to.

    Attributes:
        name: of it.
    """

    name: Literal["HTTP", "HTTPS", "GRPC", "GRPCS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendTls(Feature):
    """How the certificate of backends is looked at.

    Attributes:
        verify: whether it is.
        secret: has CA certificates under `ca.crt`, and may have a certificate for the gateway; None: none.
        hostname: that the certificate has to have; empty: that of the Service.
    """

    verify: bool
    secret: Name | None = None
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth(Feature):
    """Users and passwords.

    Attributes:
        secret: that has them.
        key: with an htpasswd file; empty: each key is a user, its value a hash.
        realm: of the challenge.
    """

    secret: Name
    key: str
    realm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCertificates(Feature):
    """Clients show a certificate; of a whole host.

    Attributes:
        secret: has the CA certificates.
        required: whether a client without one is refused.
        forward: whether backends are told of it.
        pattern: what its subject has to have; empty: anything.
    """

    secret: Name
    required: bool = True
    forward: bool = False
    pattern: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalAuth(Feature):
    """A service says who may.

    Attributes:
        url: that is asked.
        response_headers: of its answer that the backend gets.
        sign_in: URL where people sign in; empty: none.
        parameter: of that URL, where to come back to.
        set_cookie: whether clients get its cookies.
        cache_seconds: how long what it allows is remembered; 0: not at all.
    """

    url: str
    response_headers: tuple[str, ...] = ()
    sign_in: str = ""
    parameter: str = "rd"
    set_cookie: bool = False
    cache_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses(Feature):
    """Clients by their addresses.

    Attributes:
        allowed: CIDR blocks; empty: all.
        denied: CIDR blocks.
        suffices: whoever is allowed needs no credentials (`satisfy any`).
    """

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()
    suffices: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyLimit(Feature):
    """Octets that the body of a request may have.

    Attributes:
        octets: so many; 0: any number.
    """

    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectBody(Feature):
    """The backend is asked once the body of a request is whole.

    Attributes:
        octets: of a body at most.
    """

    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts(Feature):
    """How long a backend may be silent, in milliseconds; 0: as the gateway does.

    Attributes:
        connect: until a connection is there.
        read: between two reads of a response.
    """

    connect: int = 0
    read: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry(Feature):
    """Which answers are asked for again.

    Attributes:
        codes: statuses.
        attempts: after the first one.
    """

    codes: tuple[int, ...]
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Affinity(Feature):
    """A client stays with an endpoint, by a cookie.

    Attributes:
        cookie: its name.
        path: its path; empty: that of the location.
        seconds: how long it lives; 0: as long as the browser runs.
    """

    cookie: str
    path: str = ""
    seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancing(Feature):
    """How an endpoint is chosen.

    Attributes:
        kind: in turn, by the time to answer, or by a key.
        key: parts of the key, as a BackendPolicy names them.
    """

    kind: Literal["RoundRobin", "PeakEwma", "Hash"]
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of each client.

    Attributes:
        name: for people.
        requests: that may come in
        seconds: so many.
        burst: that may come at once.
        concurrent: that may be under way at once, in place of all of these; 0: it is none of that.
    """

    name: str
    requests: int = 0
    seconds: int = 0
    burst: int = 0
    concurrent: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(Feature):
    """How much a client may ask for.

    Attributes:
        limits: all of them hold.
        exempt: CIDR blocks of clients that are not limited.
        status: of what is refused.
    """

    limits: tuple[Limit, ...]
    exempt: tuple[str, ...] = ()
    status: int = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror(Feature):
    """A copy of each request goes elsewhere.

    Attributes:
        url: where to.
    """

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPages(Feature):
    """A Service says what stands in for errors.

    Attributes:
        statuses: of backends, which are errors; empty: none of theirs.
        service: that is asked; empty: the Service that the controller has for all.
        namespace: of the Service.
    """

    statuses: tuple[int, ...] = ()
    service: str = ""
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRewrite(Feature):
    """What a backend says of where it is, as clients see it.

    Attributes:
        locations: beginnings of URLs, and what stands in their place.
        domains: of cookies, the same.
        paths: of cookies, the same.
    """

    locations: tuple[tuple[str, str], ...] = ()
    domains: tuple[tuple[str, str], ...] = ()
    paths: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Underscores(Feature):
    """Fields with `_` in their name do not reach backends; of a whole Gateway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAddress(Feature):
    """Who asks, where proxies stand in front; of a whole Gateway.

    Attributes:
        trusted: CIDR blocks of proxies that are believed.
        proxy_protocol: connections begin with a header of the PROXY protocol.
    """

    trusted: tuple[str, ...]
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAccessLog(Feature):
    """Requests have no lines in the access log."""


_F = TypeVar("_F", bound=Feature)


class Features:
    """The features of one Ingress, each kind once."""

    def __init__(self, found: Iterable[Feature] = ()) -> None:
        """Take features; of two of a kind the first stays."""
        self._by_kind: dict[type[Feature], Feature] = {}
        for item in found:
            self._by_kind.setdefault(type(item), item)

    def get(self, kind: type[_F]) -> _F | None:
        """The feature of a kind; None: it has none."""
        return cast("_F | None", self._by_kind.get(kind))

    def __iter__(self) -> Iterator[Feature]:
        return iter(self._by_kind.values())

"""What policies see of a request, and what they leave behind."""

from __future__ import annotations

from msgspec import Struct, field

from .contract import Certificate, Headers, Identity
from .names import is_forwardable, spelling


class Facts(Struct, frozen=True, kw_only=True):
    """What a policy sees of a request, or of a connection (whose other fields are empty).

    Attributes:
        address: who asks; None: nobody can say, so nothing that allows by address holds, all that denies by it does.
        method, scheme, host, authority, path, query: as they go on to the backend; `path` is normalised.
        headers: without what policies may set; credentials are still among them.
        told: what conditions ask: of where the request comes from what the backend is told, not what the client says.
        sent: as the client sent them, the authority as Host among them, whatever was edited since.
        sni: the server name of the TLS handshake, lower case.
        listener, route, rule: ids.
        grpc: the rule is one of a GRPCRoute.
        body_length: as the head declares it; None: it streams.
        certificate: of the connection, validated by its listener.
        assumed: who is taken to have proved who they are.
    """

    address: str | None
    sni: str | None
    listener: str
    route: str
    rule: str
    method: str = ""
    scheme: str = ""
    host: str = ""
    authority: str = ""
    path: str = ""
    query: str | None = None
    headers: Headers = ()
    told: Headers = ()
    sent: Headers = ()
    grpc: bool = False
    body_length: int | None = None
    certificate: Certificate | None = None
    assumed: Identity | None = None


class Denial(Struct, frozen=True):
    """How a request is refused: a code of docs/errors.md, its status, and fields of the answer."""

    reason: str
    status: int
    headers: Headers = ()


class Passage(Struct):
    """What policies leave behind.

    Attributes:
        identity: who asks, proved.
        proved_by: id of the credentials that proved it.
        forward: fields set towards the backend, before the rule's filters.
        of_backends: credentials towards single backends of the rule, by their place, until one is chosen.
        respond: fields appended to the response.
        removed_fields, removed_cookies, removed_pairs: names of credentials that the backend does not get.
        removed_schemes: the same, names of fields and what the values begin with, in lower case.
    """

    identity: Identity | None = None
    proved_by: str | None = None
    forward: list[tuple[str, str]] = field(default_factory=list)
    of_backends: list[tuple[int, tuple[str, str]]] = field(default_factory=list)
    respond: list[tuple[str, str]] = field(default_factory=list)
    removed_fields: set[str] = field(default_factory=set)
    removed_schemes: set[tuple[str, str]] = field(default_factory=set)
    removed_cookies: set[str] = field(default_factory=set)
    removed_pairs: set[str] = field(default_factory=set)

    def prove(self, identity: Identity, credentials: str) -> None:
        """Somebody proved who they are; the first proof counts, and that of an override comes before all others."""
        if self.identity is None:
            self.identity, self.proved_by = identity, credentials

    def tell(self, name: str, value: str) -> None:
        """Tell the backend who asks; the first who proved it counts."""
        told = {spelling(other) for other, _ in self.forward}
        is_value = value.strip(" \t\r\n\x0c") == value
        if is_forwardable(name) and is_value and spelling(name) not in told:
            self.forward.append((name, value))

    def give(self, field: tuple[str, str]) -> None:
        """Give a credential of the gateway's own: nothing else goes on under its name."""
        name = spelling(field[0])
        self.forward[:] = [told for told in self.forward if spelling(told[0]) != name]
        self.removed_fields.add(field[0])
        self.forward.append(field)

    def choose(self, backend: int) -> None:
        """The request goes to the backend of its rule that has this place."""
        for place, told in self.of_backends:
            if place == backend:
                self.give(told)
        self.of_backends.clear()

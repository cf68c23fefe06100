"""AccessPolicy: who may. What asks nobody else; `access_remote` has what does."""

from __future__ import annotations

from collections.abc import Iterable, Set
from typing import ClassVar, TypeAlias

from msgspec import field

from ..base import Base
from .backend_tls import SubjectAltName
from .base import CLAIMS, PROOFS, Need, StanzaBase

_REQUESTS = frozenset({"listener", "http_rule"})
_ALL = _REQUESTS | {"l4_rule"}


class AccessExempt(StanzaBase, frozen=True, kw_only=True, tag="access_exempt"):
    """Whom no credentials are asked of: all that is given has to hold.

    Attributes:
        clients: CIDR blocks; empty: from anywhere.
        methods: empty: any.
        when: an expression; empty: always.
    """

    kind: ClassVar[str] = "AccessPolicy"
    stanza: ClassVar[str] = "exempt"
    acts_on: ClassVar[frozenset[str]] = _REQUESTS

    clients: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    when: str = ""

    def of_identities(self) -> Iterable[tuple[str, Set[str], str]]:
        """All of it."""
        return () if self.off else (("", PROOFS, "spares nobody anything"),)


class AccessCertificate(StanzaBase, frozen=True, kw_only=True, tag="access_certificate"):
    """A client proves itself by the certificate of its connection.

    Attributes:
        optional: requests without any credential go on, as nobody's.
        subject_alt_names: one of these has to be in the certificate; empty: any will do.
        forward_header: field that tells the backend the user; empty: none.
    """

    kind: ClassVar[str] = "AccessPolicy"
    stanza: ClassVar[str] = "certificate"
    acts_on: ClassVar[frozenset[str]] = _ALL

    optional: bool = False
    subject_alt_names: tuple[SubjectAltName, ...] = ()
    forward_header: str = ""

    def owned_fields(self) -> Iterable[str]:
        """The field that tells the user."""
        return (self.forward_header,) if self.forward_header else ()

    def of_certificates(self) -> Iterable[tuple[str, str]]:
        """All of it, where it is required."""
        return () if self.off or self.optional else (("", "lets nobody in"),)

    def of_identities(self) -> Iterable[tuple[str, Set[str], str]]:
        """All of it, where it is required; who has another credential gets in by that."""
        return ((place, PROOFS, outcome) for place, outcome in self.of_certificates())


class HeaderCredential(Base, frozen=True, kw_only=True, tag_field="type", tag="header"):
    """A header field with an API key behind a prefix."""

    name: str
    prefix: str = ""


class QueryCredential(Base, frozen=True, kw_only=True, tag_field="type", tag="query"):
    """A query parameter with an API key."""

    name: str


class CookieCredential(Base, frozen=True, kw_only=True, tag_field="type", tag="cookie"):
    """A cookie with an API key."""

    name: str


KeySource: TypeAlias = HeaderCredential | QueryCredential | CookieCredential


def credentials_in(sources: Iterable[KeySource]) -> Iterable[str]:
    """The header fields in which credentials may stand."""
    for source in sources:
        match source:
            case HeaderCredential(name=name):
                yield name
            case CookieCredential():
                yield "cookie"


class AccessApiKey(StanzaBase, frozen=True, kw_only=True, tag="access_api_key"):
    """API keys.

    Attributes:
        optional: as of a certificate.
        keys: id of the secret with the keys: a line each, the SHA-256 of the key in hexadecimal, a space, the client.
        from_: where a key may stand.
        realm: of the challenge.
        forward_header: as of a certificate.
        keep: the key goes on to the backend.
    """

    kind: ClassVar[str] = "AccessPolicy"
    stanza: ClassVar[str] = "apiKey"
    acts_on: ClassVar[frozenset[str]] = _REQUESTS

    optional: bool = False
    keys: str = ""
    from_: tuple[KeySource, ...] = field(name="from", default=())
    realm: str = ""
    forward_header: str = ""
    keep: bool = False

    def needs(self) -> Iterable[Need]:
        """Its keys."""
        return (("policy_secrets", self.keys),) if self.keys else ()

    def is_unasked(self) -> bool:
        """Unless nobody needs one."""
        return not (self.off or self.optional)

    def owned_fields(self) -> Iterable[str]:
        """The field that tells the user."""
        return (self.forward_header,) if self.forward_header else ()

    def credential_fields(self) -> Iterable[str]:
        """Where keys stand."""
        return credentials_in(self.from_)


class AccessBasic(StanzaBase, frozen=True, kw_only=True, tag="access_basic"):
    """Users and passwords.

    Attributes:
        optional: as of a certificate.
        users: id of the secret with the users: lines of an htpasswd file.
        realm: of the challenge.
        forward_header: as of a certificate.
        keep: `Authorization` goes on to the backend.
    """

    kind: ClassVar[str] = "AccessPolicy"
    stanza: ClassVar[str] = "basic"
    acts_on: ClassVar[frozenset[str]] = _REQUESTS

    optional: bool = False
    users: str = ""
    realm: str = ""
    forward_header: str = ""
    keep: bool = False

    def needs(self) -> Iterable[Need]:
        """Its users."""
        return (("policy_secrets", self.users),) if self.users else ()

    def is_unasked(self) -> bool:
        """Unless nobody needs one."""
        return not (self.off or self.optional)

    def owned_fields(self) -> Iterable[str]:
        """The field that tells the user."""
        return (self.forward_header,) if self.forward_header else ()

    def credential_fields(self) -> Iterable[str]:
        """Where passwords stand."""
        return ("authorization",)


class AccessCsrf(StanzaBase, frozen=True, kw_only=True, tag="access_csrf"):
    """No other site may make a browser change anything.

    Attributes:
        trusted_origins: origins besides the site itself; `*.` stands for one or more labels.
    """

    kind: ClassVar[str] = "AccessPolicy"
    stanza: ClassVar[str] = "csrf"
    acts_on: ClassVar[frozenset[str]] = _REQUESTS

    trusted_origins: tuple[str, ...] = ()


class NamedValues(Base, frozen=True, kw_only=True):
    """A named thing with values, of which one is asked for."""

    name: str
    values: tuple[str, ...]


class AccessRule(Base, frozen=True, kw_only=True):
    """One rule: all that is given has to hold. `deny`: it refuses; otherwise it allows."""

    name: str = ""
    deny: bool = False
    clients: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[NamedValues, ...] = ()
    users: tuple[str, ...] = ()
    claims: tuple[NamedValues, ...] = ()
    scopes: tuple[str, ...] = ()
    when: str = ""


class AccessAuthorization(StanzaBase, frozen=True, kw_only=True, tag="access_authorization"):
    """The first rule that holds decides.

    Attributes:
        rules: in their order.
        default_allow: what no rule decides is allowed.
    """

    kind: ClassVar[str] = "AccessPolicy"
    stanza: ClassVar[str] = "authorization"
    tightens: ClassVar[bool] = True
    acts_on: ClassVar[frozenset[str]] = _ALL

    rules: tuple[AccessRule, ...] = ()
    default_allow: bool = False

    def of_requests(self) -> Iterable[tuple[str, str]]:
        """Rules that ask for more than addresses and users."""
        for place, rule in enumerate(self.rules):
            more = {name: getattr(rule, name) for name in ("methods", "headers", "claims", "scopes", "when")}
            if any(more.values()):
                yield f"rules[{place}]", ", ".join(name for name, value in more.items() if value)

    def of_certificates(self) -> Iterable[tuple[str, str]]:
        """Rules that ask who it is."""
        for place, rule in enumerate(self.rules):
            if rule.users and not any((rule.methods, rule.headers, rule.claims, rule.scopes, rule.when)):
                yield f"rules[{place}]", "holds for nobody"

    def of_identities(self) -> Iterable[tuple[str, Set[str], str]]:
        """Rules that ask who it is, or what a token says."""
        for place, rule in enumerate(self.rules):
            if rule.users or rule.claims or rule.scopes:
                proofs = CLAIMS if rule.claims or rule.scopes else PROOFS
                yield f"rules[{place}]", proofs, "denies nobody" if rule.deny else "allows nobody"

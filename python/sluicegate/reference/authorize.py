"""AccessPolicy: what who asks may, by ordered rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sluicegate import ir

from .addresses import is_in
from .authority import parse_host
from .certificate import admits, user_of
from .condition import condition
from .contract import BadRequest, Certificate, Identity
from .names import SPACE, field_values, spelling
from .passage import Denial, Facts

FORBIDDEN = Denial("forbidden", 403)
#: Of a connection, which has nowhere to say what may be tried.
UNAUTHENTICATED = Denial("unauthenticated", 401)

#: Elements of a header field that a rule which denies looks at; a field of more is denied.
MAX_ELEMENTS = 1_000


def authorize(
    policy: ir.AccessAuthorization, facts: Facts, identity: Identity | None, *, believed: bool = True
) -> Denial | None:
    """The first rule that holds decides.

    Where the rules do not take the word of who proved the identity it can only do harm: denied is what would be with it
    or without, and allowed what would be with it and without.
    """
    seen = (identity,) if believed else (identity, None)
    for rule in policy.rules:
        holds = (_rule_holds(rule, facts, each) for each in seen)
        if any(holds) if rule.deny else all(holds):
            return FORBIDDEN if rule.deny else None
    return None if policy.default_allow else FORBIDDEN


def believes(policy: ir.StanzaBase, credentials: str | None, above: Sequence[str]) -> bool:
    """Whether the rules of a policy take the word of credentials, by their id, for who asks.

    Those of an override take that of its own level and of higher ones: whoever is below calls his clients what he
    likes. `above`: what the listener names, the highest level first, and of one level credentials before rules.
    """
    if not policy.overrides or policy.id not in above:
        return True
    return credentials is not None and credentials in above[: above.index(policy.id)]


def admits_connection(
    policy: ir.AccessAuthorization, address: str | None, user: tuple[str, str] | None, above: Sequence[str]
) -> bool:
    """Whether a connection may come; `user`: who it is from, and the id of what takes that for a proof.

    Whose word the policy does not take can only do harm.
    """
    if user is None:
        return _admits_user(policy, address, None)
    is_believed = believes(policy, user[1], above)
    return _admits_user(policy, address, user[0]) and (is_believed or _admits_user(policy, address, None))


def _admits_user(policy: ir.AccessAuthorization, address: str | None, user: str | None) -> bool:
    """Rules that ask for more than the address and the user hold for no connection."""
    for rule in policy.rules:
        more = (rule.methods, rule.headers, rule.claims, rule.scopes, rule.when)
        is_user = not rule.users or (bool(user) and user in rule.users)
        if not any(more) and is_user and _is_from(rule, address):
            return not rule.deny
    return policy.default_allow


def user_of_connection(
    policies: Iterable[ir.StanzaBase], certificate: Certificate | None, above: Sequence[str]
) -> tuple[str, str] | None:
    """Who a connection is from: the owner of its certificate, and the id of the highest policy that takes it."""
    if certificate is None:
        return None
    takes = [each.id for each in policies if isinstance(each, ir.AccessCertificate) and admits(each, certificate)]
    highest = next((name for name in above if name in takes), takes[0] if takes else None)
    return None if highest is None else (user_of(certificate), highest)


def asks_identity(policy: ir.AccessAuthorization) -> bool:
    """Whether some rule asks who sent a request."""
    return any(rule.users or rule.claims or rule.scopes or "identity." in rule.when for rule in policy.rules)


def _rule_holds(rule: ir.AccessRule, facts: Facts, identity: Identity | None) -> bool:
    if not _is_from(rule, facts.address) or not _is_method(rule, facts.method):
        return False
    if (rule.users or rule.scopes or rule.claims) and identity is None:
        return False
    if identity is not None and (
        (rule.users and (not identity.user or identity.user not in rule.users))
        or any(scope not in identity.scopes for scope in rule.scopes)
        or not all(_has_claim(identity, claim) for claim in rule.claims)
    ):
        return False
    if not all(_has_header(rule, facts, header) for header in rule.headers):
        return False
    return not rule.when or condition(rule.when, facts, identity, failing=rule.deny)


def _is_method(rule: ir.AccessRule, asked: str) -> bool:
    """Some backends take `delete` for DELETE: that denies too."""
    return not rule.methods or asked in rule.methods or (rule.deny and asked.upper() in map(str.upper, rule.methods))


def _is_from(rule: ir.AccessRule, address: str | None) -> bool:
    if not rule.clients:
        return True
    return rule.deny if address is None else is_in(rule.clients, address)


def _has_claim(identity: Identity, claim: ir.NamedValues) -> bool:
    if claim.name in identity.claims:
        found = identity.claims[claim.name]
    else:
        found = identity.claims
        for part in claim.name.split("."):
            if not isinstance(found, dict) or part not in found:
                return False
            found = found[part]
    values = found if isinstance(found, list) else [found]
    return any(_text(value) in claim.values for value in values)


def _text(value: object) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case int() | float():
            return str(value)
    return None


def _has_header(rule: ir.AccessRule, facts: Facts, header: ir.NamedValues) -> bool:
    """To deny, one value or element is enough, or the joined one; to allow, all have to be right (CVE-2026-26308)."""
    if header.name.lower() == "host":
        return any(_is_asked_host(rule, written, facts) for written in header.values)
    if not rule.deny:
        values = field_values(facts.told, header.name)
        return bool(values) and all(value in header.values for value in values)
    name = spelling(header.name)
    values = [value.strip(SPACE) for key, value in facts.told if spelling(key) == name]
    elements = [element.strip(SPACE) for value in values for element in value.split(",")]
    if len(elements) > MAX_ELEMENTS:
        return True
    return bool(values) and any(
        value in header.values for value in (*values, *elements, ", ".join(values), ",".join(values))
    )


def _is_asked_host(rule: ir.AccessRule, written: str, facts: Facts) -> bool:
    """Without a port it stands for any to deny, and for the usual one of the scheme to allow."""
    usual = 443 if facts.scheme == "https" else 80
    try:
        host, port = parse_host(written), _port_of(written)
    except BadRequest:
        return False
    asked = usual if (sent := _port_of(facts.authority)) is None else sent
    return host == facts.host and (rule.deny or asked == usual if port is None else port == asked)


def _port_of(authority: str) -> int | None:
    """The port of an authority that has one."""
    _, colon, port = authority.rpartition(":")
    return int(port) if colon and port.isdecimal() else None

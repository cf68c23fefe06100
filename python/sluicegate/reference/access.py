"""AccessPolicy: who may, as far as that needs nobody who is asked.

The first kind of credential that a request has decides: a valid one authenticates, an invalid one is 401 at once,
whatever else there is. None is 401, unless all kinds are optional. What overrides is asked by itself, before what does
not.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias
from urllib.parse import unquote_to_bytes

from sluicegate import ir

from .authority import parse_host
from .claims import told_claims
from .condition import holds, variables_of
from .contract import BadRequest, Certificate, Headers, Identity
from .names import spelling
from .passage import Denial, Facts, Passage

#: Of one kind of credential: nothing, one that is invalid, that somebody else has to look at, or who it is.
Presented: TypeAlias = Literal["absent", "invalid", "ask"] | Identity
Authenticator: TypeAlias = ir.AccessCertificate | ir.AccessApiKey | ir.AccessJwt | ir.AccessBasic
#: A policy and what it says.
Word: TypeAlias = tuple[ir.StanzaBase, str]

FORBIDDEN = Denial("forbidden", 403)
CSRF = Denial("csrf", 403)
#: Of a connection, which has nowhere to say what may be tried.
UNAUTHENTICATED = Denial("unauthenticated", 401)

#: Elements of a header field that a rule which denies looks at; a field of more is denied.
MAX_ELEMENTS = 1_000

_PROOFS = {
    ir.AccessCertificate: "certificate",
    ir.AccessApiKey: "apiKey",
    ir.AccessJwt: "jwt",
    ir.AccessBasic: "basic",
}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_SPACE = " \t\r\n\x0c"
_ORIGIN = re.compile(r"(https?)://([a-z0-9.:\[\]*_-]+)", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*")


def is_authenticator(policy: ir.StanzaBase) -> bool:
    """Whether a policy has its turn with the credentials."""
    return isinstance(policy, ir.AccessExempt | Authenticator)


def authenticate(
    policies: Iterable[ir.StanzaBase], facts: Facts, passage: Passage, secrets: Mapping[str, str]
) -> tuple[list[Word], Denial | None, str | None]:
    """Ask the kinds of one group.

    Returns:
        What each said that was looked at, why the request is refused, and the id of one that somebody has to look at.
    """
    members = [policy for policy in policies if isinstance(policy, Authenticator)]
    exempt = next((policy for policy in policies if isinstance(policy, ir.AccessExempt)), None)
    forgiven = exempt is not None and _is_exempt(exempt, facts)
    said: list[Word] = [] if exempt is None else [(exempt, "pass" if forgiven else "absent")]
    for policy in filter(_is_taken_out, members):
        _remove(policy, passage)
    for policy in members:
        assumed = facts.assumed is not None and facts.assumed.proof == _PROOFS[type(policy)]
        found = facts.assumed if assumed else _present(policy, facts, secrets)
        if found == "absent":
            said.append((policy, "absent"))
            continue
        if found != "invalid":
            _remove_others(members, policy, passage)
        if isinstance(found, Identity):
            if isinstance(policy, ir.AccessJwt):
                for name, value in told_claims(policy, found):
                    passage.tell(name, value)
            elif policy.forward_header:
                passage.tell(policy.forward_header, found.user)
            passage.prove(found, policy.id)
            return [*said, (policy, "pass")], None, None
        if found == "ask":
            return [*said, (policy, "asked")], None, policy.id
        if forgiven:
            return [*said, *((each, "absent") for each in members[members.index(policy) :])], None, None
        return [*said, (policy, "deny")], _unauthenticated(members), None
    if forgiven or all(policy.optional for policy in members):
        return said, None, None
    refused: list[Word] = [(policy, "deny" if policy in members else word) for policy, word in said]
    return refused, _unauthenticated(members), None


def _unauthenticated(members: Iterable[Authenticator]) -> Denial:
    return Denial("unauthenticated", 401, tuple(("www-authenticate", _challenge(policy)) for policy in members))


def _challenge(policy: Authenticator) -> str:
    if isinstance(policy, ir.AccessCertificate):
        return "ClientCertificate"
    realm = policy.realm.replace("\\", "\\\\").replace('"', '\\"')
    if isinstance(policy, ir.AccessApiKey):
        return f'ApiKey realm="{realm}"'
    if isinstance(policy, ir.AccessJwt):
        return f'Bearer realm="{realm}"'
    return f'Basic realm="{realm}", charset="UTF-8"'


def _is_taken_out(policy: Authenticator) -> bool:
    """Whether no credential of this kind goes on to the backend, whoever looked at it."""
    return isinstance(policy, ir.AccessCertificate) or not policy.keep


def _remove_others(members: Iterable[Authenticator], decides: Authenticator, passage: Passage) -> None:
    """Of what nobody looks at a backend which believes what comes from here gets nothing, whatever is to be kept."""
    for policy in members:
        if policy is not decides:
            _remove(policy, passage)


def _remove(policy: Authenticator, passage: Passage) -> None:
    if isinstance(policy, ir.AccessBasic):
        passage.removed_schemes.add(("authorization", "basic"))
    if isinstance(policy, ir.AccessApiKey | ir.AccessJwt):
        for source in policy.from_:
            match source:
                case ir.HeaderCredential(name=name, prefix=prefix) if prefix.rstrip(_SPACE):
                    passage.removed_schemes.add((name, prefix.rstrip(_SPACE).lower()))
                case ir.HeaderCredential():
                    passage.removed_fields.add(source.name)
                case ir.QueryCredential():
                    passage.removed_pairs.add(source.name)
                case ir.CookieCredential():
                    passage.removed_cookies.add(source.name)


# --- Credentials ------------------------------------------------------------------------------------------------


def _present(policy: Authenticator, facts: Facts, secrets: Mapping[str, str]) -> Presented:
    match policy:
        case ir.AccessCertificate():
            if facts.certificate is None:
                return "absent"
            user = _user_of(facts.certificate)
            return Identity(proof="certificate", user=user) if admits(policy, facts.certificate) else "invalid"
        case ir.AccessApiKey():
            return _present_key(policy, facts, secrets)
        case ir.AccessJwt():
            tokens = {token for source in policy.from_ for token in _keys_in(source, facts)}
            # Of several a backend could take any.
            return "absent" if not tokens else "ask" if len(tokens) == 1 else "invalid"
        case ir.AccessBasic():
            return _present_basic(facts)


def admits(policy: ir.AccessCertificate, certificate: Certificate) -> bool:
    """Whether a certificate is one that is asked for."""
    names = (certificate.subject, *certificate.dns_names, *certificate.uris)
    if not _user_of(certificate) or any(_is_control(character) for name in names for character in name):
        return False
    known = {name.lower() for name in certificate.dns_names}
    return not policy.subject_alt_names or any(
        name.value.lower() in known if isinstance(name, ir.HostnameSan) else name.value in certificate.uris
        for name in policy.subject_alt_names
    )


def _user_of(certificate: Certificate) -> str:
    return next(iter((*certificate.uris, *certificate.dns_names)), certificate.subject)


def _is_control(character: str) -> bool:
    return ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0


def _present_key(policy: ir.AccessApiKey, facts: Facts, secrets: Mapping[str, str]) -> Presented:
    clients: dict[str, str] = {}
    for line in secrets.get(policy.keys, "").splitlines():
        digest, _, client = line.partition(" ")
        clients.setdefault(digest.lower(), client)
    keys = [key for source in policy.from_ for key in _keys_in(source, facts)]
    found = {clients.get(hashlib.sha256(key).hexdigest()) for key in keys}
    if not found:
        return "absent"
    user = found.pop()
    return "invalid" if found or user is None else Identity(proof="apiKey", user=user)


def _keys_in(source: ir.KeySource, facts: Facts) -> list[bytes]:
    match source:
        case ir.HeaderCredential(name=name, prefix=prefix):
            found = (_without_prefix(item, prefix) for item in _named(facts.headers, name))
            return [_octets(item) for item in found if item is not None]
        case ir.CookieCredential(name=name):
            pairs = [item.partition("=") for value in _named(facts.headers, "cookie") for item in value.split(";")]
            values = [value.strip(_SPACE) for key, mark, value in pairs if mark and key.strip(_SPACE) == name]
            quoted = 2
            return [
                _octets(item[1:-1] if len(item) >= quoted and item[0] == item[-1] == '"' else item) for item in values
            ]
        case ir.QueryCredential(name=name):
            if facts.query is None:
                return []
            parts = [item.partition("=") for item in facts.query.split("&")]
            return [_decoded(value) for key, _, value in parts if _decoded(key) == name.encode()]


def _without_prefix(value: str, prefix: str) -> str | None:
    """What stands behind a prefix; the space at its end stands for whatever a backend may take for one."""
    scheme = prefix.rstrip(_SPACE)
    rest = value[len(scheme) :]
    is_apart = scheme == prefix or rest[:1] in tuple(_SPACE)
    return rest.strip(_SPACE) if is_apart and value[: len(scheme)].lower() == scheme.lower() else None


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


def _octets(value: str) -> bytes:
    return value.encode(errors="surrogateescape")


def _present_basic(facts: Facts) -> Presented:
    found = (_without_prefix(value, "basic ") for value in _named(facts.headers, "authorization"))
    values = [value for value in found if value is not None]
    if not values:
        return "absent"
    return "ask" if len(values) == 1 and _is_basic(values[0]) else "invalid"


def _is_basic(encoded: str) -> bool:
    """Whether this is a user and a password (RFC 7617), in the one spelling that base64 has for them."""
    digits = encoded.rstrip("=")
    padding = len(encoded) - len(digits)
    whole = 4
    if len(encoded) > 1024 or _BASE64.fullmatch(digits) is None or padding > 2 or len(digits) % whole == 1:
        return False
    if padding and len(encoded) % whole:
        return False
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    number = 0
    for digit in digits:
        number = number << 6 | alphabet.index(digit)
    left = len(digits) * 6 % 8
    if number & ((1 << left) - 1):
        return False
    plain = (number >> left).to_bytes(len(digits) * 6 // 8)
    name, colon, password = plain.partition(b":")
    try:
        user = name.decode()
    except UnicodeDecodeError:
        return False
    is_plain = not any(_is_control(item) for item in user) and not any(
        octet < 0x20 or octet == 0x7F for octet in password
    )
    return bool(colon and user) and is_plain


# --- Exemptions, csrf, authorization ----------------------------------------------------------------------------


def _is_exempt(policy: ir.AccessExempt, facts: Facts) -> bool:
    return (
        (not policy.clients or (facts.address is not None and _is_in(policy.clients, facts.address)))
        and (not policy.methods or facts.method in policy.methods)
        and (not policy.when or condition(policy.when, facts, None, failing=False))
    )


def csrf(policy: ir.AccessCsrf, facts: Facts) -> Denial | None:
    """Fetch Metadata first, then `Origin`; what comes several times has to be right each time."""
    # A page may read all that a WebSocket tells, whatever site it is of, and write to it.
    if facts.method in _SAFE and not _named(facts.headers, "sec-websocket-version"):
        return None
    sites, origins = _named(facts.headers, "sec-fetch-site"), _named(facts.headers, "origin")
    if sites:
        own = all(site in {"same-origin", "none"} for site in sites)
        trusted = bool(origins) and all(_is_trusted(policy, origin) for origin in origins)
        return None if own or trusted else CSRF
    return None if all(_is_trusted(policy, item) or _is_host(facts, item) for item in origins) else CSRF


def _is_trusted(policy: ir.AccessCsrf, origin: str) -> bool:
    found = _origin(origin)
    if found is None:
        return False
    for written in policy.trusted_origins:
        trusted = _origin(written)
        if trusted is None or trusted[0] != found[0]:
            continue
        if trusted[1].startswith("*."):
            if found[1].endswith(trusted[1][1:]) and len(found[1]) > len(trusted[1]) - 1:
                return True
        elif trusted == found:
            return True
    return False


def _is_host(facts: Facts, origin: str) -> bool:
    found = _origin(origin)
    if found is None:
        return False
    scheme, host = found
    return scheme in {facts.scheme, "https"} and _usual(scheme, facts.authority.lower()) == host


def _origin(text: str) -> tuple[str, str] | None:
    found = _ORIGIN.fullmatch(text.lower())
    return None if found is None else (found[1], _usual(found[1], found[2]))


def _usual(scheme: str, host: str) -> str:
    return host.removesuffix(":443" if scheme == "https" else ":80")


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
    return None if highest is None else (_user_of(certificate), highest)


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
    return rule.deny if address is None else _is_in(rule.clients, address)


def _is_in(networks: Iterable[str], address: str) -> bool:
    asked = _canonical(ipaddress.ip_address(address))
    return any(asked in network for network in map(_network, networks) if network.version == asked.version)


def _network(written: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A block; one of IPv4 addresses that are written as IPv6's is one of IPv4."""
    network = ipaddress.ip_network(written)
    mapped = 96
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= mapped:
        first = network.network_address.ipv4_mapped
        if first is not None:
            return ipaddress.IPv4Network((first, network.prefixlen - mapped))
    return network


def _canonical(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


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
        values = _named(facts.told, header.name)
        return bool(values) and all(value in header.values for value in values)
    name = spelling(header.name)
    values = [value.strip(_SPACE) for key, value in facts.told if spelling(key) == name]
    elements = [element.strip(_SPACE) for value in values for element in value.split(",")]
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


def canonical_text(address: str | None) -> str | None:
    """An address as the gateway writes it."""
    return None if address is None else str(_canonical(ipaddress.ip_address(address)))


def variables_for(facts: Facts, identity: Identity | None) -> dict[str, Any]:
    """What an expression may ask of a request and of who sent it."""
    return variables_of(
        method=facts.method,
        scheme=facts.scheme,
        host=facts.host,
        path=facts.path,
        query=facts.query,
        authority=facts.authority,
        headers=facts.told,
        address=canonical_text(facts.address),
        identity=identity,
    )


def condition(text: str, facts: Facts, identity: Identity | None, *, failing: bool) -> bool:
    """Whether a condition holds; `failing`: where it comes to nothing."""
    return holds(text, variables_for(facts, identity), failing=failing)


def _named(headers: Headers, name: str) -> list[str]:
    return [value.strip(_SPACE) for key, value in headers if key.lower() == name.lower()]

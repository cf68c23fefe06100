"""What a request presents: keys, passwords, and where they stand in it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Literal, TypeAlias
from urllib.parse import unquote_to_bytes

from sluicegate import ir

from .certificate import admits, is_control, user_of
from .contract import Identity
from .names import SPACE, field_values
from .passage import Facts

#: Of one kind of credential: nothing, one that is invalid, that somebody else has to look at, or who it is.
Presented: TypeAlias = Literal["absent", "invalid", "ask"] | Identity
Authenticator: TypeAlias = ir.AccessCertificate | ir.AccessApiKey | ir.AccessJwt | ir.AccessBasic

_BASE64 = re.compile(r"[A-Za-z0-9+/]*")


def present(policy: Authenticator, facts: Facts, secrets: Mapping[str, str]) -> Presented:
    """What a request has of one kind of credential."""
    match policy:
        case ir.AccessCertificate():
            if facts.certificate is None:
                return "absent"
            user = user_of(facts.certificate)
            return Identity(proof="certificate", user=user) if admits(policy, facts.certificate) else "invalid"
        case ir.AccessApiKey():
            return _present_key(policy, facts, secrets)
        case ir.AccessJwt():
            tokens = {token for source in policy.from_ for token in _keys_in(source, facts)}
            # Of several a backend could take any.
            return "absent" if not tokens else "ask" if len(tokens) == 1 else "invalid"
        case ir.AccessBasic():
            return _present_basic(facts)


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
            found = (_without_prefix(item, prefix) for item in field_values(facts.headers, name))
            return [_octets(item) for item in found if item is not None]
        case ir.CookieCredential(name=name):
            pairs = [
                item.partition("=") for value in field_values(facts.headers, "cookie") for item in value.split(";")
            ]
            values = [value.strip(SPACE) for key, mark, value in pairs if mark and key.strip(SPACE) == name]
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
    scheme = prefix.rstrip(SPACE)
    rest = value[len(scheme) :]
    is_apart = scheme == prefix or rest[:1] in tuple(SPACE)
    return rest.strip(SPACE) if is_apart and value[: len(scheme)].lower() == scheme.lower() else None


def _decoded(text: str) -> bytes:
    return unquote_to_bytes(text.replace("+", " "))


def _octets(value: str) -> bytes:
    return value.encode(errors="surrogateescape")


def _present_basic(facts: Facts) -> Presented:
    found = (_without_prefix(value, "basic ") for value in field_values(facts.headers, "authorization"))
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
    is_plain = not any(is_control(item) for item in user) and not any(
        octet < 0x20 or octet == 0x7F for octet in password
    )
    return bool(colon and user) and is_plain

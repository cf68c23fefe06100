"""What the backend is told of the claims of a token."""

from __future__ import annotations

import json
from typing import Any

from sluicegate import ir

from .contract import Identity

#: Octets that the claim of a field may have: it has to stand in a head.
MAX_FIELD = 8 * 1024


def told_claims(policy: ir.AccessJwt, identity: Identity) -> list[tuple[str, str]]:
    """The fields of somebody who is assumed to have a token.

    As the provider has it whose issuer the claims say, the first one where they say none.
    """
    issuer = identity.claims.get("iss")
    of_issuer = (each for each in policy.providers if not isinstance(issuer, str) or each.issuer == issuer)
    provider = next(of_issuer, None)
    if provider is None:
        return []
    found = ((pair.header, _value(identity.claims, pair.claim)) for pair in provider.forward)
    return [(header, value) for header, value in found if value is not None]


def _value(claims: dict[str, Any], path: str) -> str | None:
    """A claim as the value of a field; None: it is not there, or could not stand in a head."""
    value: Any
    if path in claims:
        value = claims[path]
    else:
        value = claims
        for name in path.split("."):
            if not isinstance(value, dict) or name not in value:
                return None
            value = value[name]
    text = _text(value)
    if text is None or len(text.encode(errors="surrogateescape")) > MAX_FIELD:
        return None
    if text.strip() != text:
        return None
    return None if any(character < " " or character == "\x7f" for character in text) else text


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(
        isinstance(item, str) and "," not in item and item.strip() == item for item in value
    ):
        return ",".join(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)

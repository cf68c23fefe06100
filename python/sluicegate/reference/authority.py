"""Authorities: `host[:port]` (ARCHITECTURE.md, "2. Authority"; RFC 3986 section 3.2, RFC 9110 section 7.2)."""

from __future__ import annotations

import ipaddress
import re

from .contract import BadRequest

#: Octets of a hostname with its trailing dot (RFC 1035 section 2.3.4).
MAX_HOST = 254

_MAX_PORT = 0xFFFF

#: A reg-name without percent-encoding and without `,`, which joins two Host fields to one. Or an IP literal.
_AUTHORITY = re.compile(r"(?:([A-Za-z0-9\-._~!$&'()*+;=]+)|\[([0-9A-Fa-f:.]+)\])(?::([0-9]{0,5}))?")


def parse_host(authority: str) -> str:
    """The host to match by: lower case, without its trailing dot, without the port.

    Raises:
        BadRequest: the authority is empty, ends in two dots, has userinfo, or is otherwise no `host[:port]`.
    """
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None:
        raise BadRequest
    name, literal, port = parts.groups()
    if port and int(port) > _MAX_PORT:
        raise BadRequest
    if literal is not None:
        return _ip_literal(literal)
    if len(name) > MAX_HOST or name == "." or name.endswith(".."):
        raise BadRequest
    return name.removesuffix(".").lower()


def _ip_literal(literal: str) -> str:
    try:
        ipaddress.IPv6Address(literal)
    except ValueError:
        raise BadRequest from None
    return f"[{literal.lower()}]"

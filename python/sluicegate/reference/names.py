"""Names of fields, as whatever backend may take them."""

from __future__ import annotations

import re

from .contract import Headers

#: What stands around values and means nothing, for whatever backend.
SPACE = " \t\r\n\x0c"

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

#: Octets that names of fields differ by for every backend.
_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789")

#: What no policy may set: fields that frame a message or belong to a connection, and `Host`; as `spelling` has them.
_OF_THE_MESSAGE = frozenset(
    {
        *("connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "trailers", "transfer-encoding", "upgrade"),
    }
)


def spelling(name: str) -> str:
    """The name of a field as some backends take it: case does not count, nor which byte no letter or digit is."""
    octets = name.encode(errors="surrogateescape").lower()
    return "".join(chr(octet) if octet in _PLAIN else "-" for octet in octets)


def is_forwardable(name: str) -> bool:
    """Whether a policy may tell a backend something in a field of this name."""
    return _TOKEN.fullmatch(name) is not None and spelling(name) not in _OF_THE_MESSAGE


def field_values(headers: Headers, name: str) -> list[str]:
    """The values of all fields of a name, without the blanks around them."""
    return [value.strip(SPACE) for key, value in headers if key.lower() == name.lower()]

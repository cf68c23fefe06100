"""Small values of the API: durations, hostnames, paths, names. Pure functions, each with its source."""

from __future__ import annotations

import re
import socket

#: `Duration` of the API (GEP-2257): one to four parts, each of one to five digits.
_DURATION = re.compile(r"(?:[0-9]{1,5}(?:h|ms|m|s)){1,4}")
_DURATION_PART = re.compile(r"([0-9]{1,5})(h|ms|m|s)")
_MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_PATH_VALUE = re.compile(r"/[!-\"$-\[\]-~]*")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NEITHER = re.compile(r"[^a-z0-9]")
_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_HOSTNAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*")
_AUTHORITY = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:]+))(?::([0-9]{1,5}))?")
_HOST_FIELD = re.compile(r"(?:\[([^\[\]]*)\]|([A-Za-z0-9._~!$&'()*+;=-]+))(?::([0-9]{0,5}))?")
_ORIGIN_VALUE = re.compile(r"(?i)https?://[a-z0-9.*-]+(?::[0-9]{1,5})?")

#: Fields that frame a message or belong to a connection, and `Host` (RFC 9110 section 7.6.1): the gateway writes them
#: itself. The engine has the same list (`policy/field_name.rs`).
OF_THE_MESSAGE = frozenset(
    {
        *("connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "proxy-authenticate"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "trailers", "transfer-encoding", "upgrade"),
    }
)

MAX_HOSTNAME_LENGTH = 253
MAX_PORT = 65_535
MAX_INT32 = 2_147_483_647


def parse_duration(value: str) -> int | None:
    """Milliseconds of a Gateway API duration such as `1h30m` or `500ms`; None where it is none (GEP-2257)."""
    if not _DURATION.fullmatch(value):
        return None
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in _DURATION_PART.findall(value))


def hostname_error(value: str, *, wildcard: bool) -> str | None:
    """Why a hostname cannot be used, or None (`Hostname` and `PreciseHostname`: RFC 1123, no IP addresses)."""
    if len(value) > MAX_HOSTNAME_LENGTH or not _HOSTNAME.fullmatch(value):
        return "is not a DNS name"
    if value.startswith("*.") and not wildcard:
        return "must not be a wildcard"
    if value[-1] in "0123456789" and normal_address(value) is not None:  # no other one can be IPv4, nor any IPv6
        return "must not be an IP address"
    return None


def authority_error(value: str) -> str | None:
    """Why it is no name or address with or without a port, lower case, or None; empty is one.

    The engine takes no other (`table/authority.rs`): IPv6 stands in brackets.
    """
    if not value:
        return None
    found = _AUTHORITY.fullmatch(value)
    if found is None:
        return "is no name or address, with or without a port"
    literal, name, port = found.groups()
    if port is not None and not 1 <= int(port) <= MAX_PORT:
        return f"has no port from 1 to {MAX_PORT}"
    if literal is not None:
        return None if ":" in literal and normal_address(literal) is not None else "has no IPv6 address in its brackets"
    return None if normal_address(name) is not None else hostname_error(name, wildcard=False)


def host_field_error(value: str) -> str | None:
    """Why a request cannot have it as its `Host` (RFC 9110 section 7.2), or None; without blanks around it.

    What backends are called inside a network is often no DNS name: all that the engine takes of a client is one
    (`table/authority.rs`).
    """
    found = _HOST_FIELD.fullmatch(value)
    if found is None:
        return "is no name or address, with or without a port"
    literal, name, port = found.groups()
    if port and int(port) > MAX_PORT:
        return f"has no port up to {MAX_PORT}"
    if literal is not None:
        is_address = ":" in literal and normal_address(literal) is not None
        return None if is_address else "has no IPv6 address in its brackets"
    if len(name) > MAX_HOSTNAME_LENGTH + 1 or name == "." or name.endswith(".."):
        return "is no name: it has no more than 253 characters, and one dot at its end"
    return None


def hostnames_intersect(first: str, second: str) -> bool:
    """Whether some host is meant by both (`HTTPRouteSpec.hostnames`); empty means any; both lower case."""
    if not first or not second or first == second:
        return True
    return _covers(first, second) or _covers(second, first)


def _covers(wildcard: str, other: str) -> bool:
    """Whether `*.example.com` stands for the other name or wildcard; one or more labels take the place of `*`."""
    if not wildcard.startswith("*."):
        return False
    return other.endswith(wildcard[1:]) and len(other) > len(wildcard) - 1


def covering_wildcards(hostname: str) -> list[str]:
    """Every wildcard, and the empty name, that covers a hostname other than itself."""
    if not hostname:
        return []
    labels = hostname.removeprefix("*.").split(".")
    first = 0 if hostname.startswith("*.") else 1
    names = [f"*.{'.'.join(labels[index:])}" for index in range(first, len(labels))]
    return [*(name for name in names if name != hostname), ""]


def normal_address(value: str) -> str | None:
    """An IP address in its usual form; None where it is none or has a zone."""
    try:
        socket.inet_pton(socket.AF_INET, value)
    except (OSError, ValueError):
        pass
    else:
        return value
    try:
        return socket.inet_ntop(socket.AF_INET6, socket.inet_pton(socket.AF_INET6, value))
    except (OSError, ValueError):
        return None


def path_error(value: str) -> str | None:
    """Why a value of an Exact or PathPrefix match can match no request, or None (`HTTPPathMatch`)."""
    if not value.startswith("/"):
        return "must begin with /"
    if not _PATH_VALUE.fullmatch(value) or "?" in value:
        return "has a character that no path has"
    if _BAD_ESCAPE.search(value) or "%00" in value:
        return "has a bad percent-encoding"
    if "//" in value:
        return "must not contain //"
    if any(segment in {".", ".."} for segment in value.split("/")):
        return "must not contain dot segments"
    return None


def normal_path(value: str) -> str:
    """The path as the router sees it: unreserved characters decoded, other escapes in upper case (RFC 3986, 6.2.2)."""
    return _ESCAPE.sub(_normal_escape, value) if "%" in value else value


def _normal_escape(escape: re.Match[str]) -> str:
    byte = int(escape[1], 16)
    return chr(byte) if byte in _UNRESERVED else escape[0].upper()


def normal_prefix(value: str) -> str:
    """A PathPrefix value without its trailing slash, which the API ignores; `/` stays."""
    return normal_path(value).rstrip("/") or "/"


def is_token(value: str) -> bool:
    """Whether a header name is one (RFC 9110, 5.1)."""
    return _TOKEN.fullmatch(value) is not None


def name_error(value: str) -> str:
    """What is wrong with a header name; empty: nothing."""
    return "" if is_token(value) else "is not a header name"


def told_name_error(value: str) -> str:
    """Why no policy may tell a backend something in a header of this name; empty: it may."""
    if error := name_error(value):
        return error
    if _NEITHER.sub("-", value.lower()) in OF_THE_MESSAGE:
        return "belongs to the connection, or says what a message is: no policy may set it"
    return ""


def header_value(value: str) -> str:
    """A header value without the blanks at its ends.

    They are no part of it (RFC 9110, 5.5), and over HTTP/2 make a message malformed (RFC 9113, 8.2.1).
    """
    return value.strip(" \t")


def header_value_error(value: str) -> str | None:
    """Why a header value cannot be sent, or None (RFC 9110, 5.5)."""
    if any(character < " " and character != "\t" for character in value) or "\x7f" in value:
        return "has a control character"
    return None


def is_origin(value: str) -> bool:
    """Whether a CORS origin is `*` or `scheme://host[:port]` with `*` allowed in the host (`CORSOrigin`)."""
    return value == "*" or _ORIGIN_VALUE.fullmatch(value) is not None

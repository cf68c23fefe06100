"""Values of annotations and settings, as controllers written in Go read them."""

from __future__ import annotations

import ipaddress
import re

from ..api.names import is_label, is_subdomain

#: `strconv.ParseBool`.
_TRUE, _FALSE = (
    frozenset({"1", "t", "T", "TRUE", "true", "True"}),
    frozenset({"0", "f", "F", "FALSE", "false", "False"}),
)
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,15})([kKmMgG]?)", re.ASCII)
_TIME = re.compile(r"([0-9]{1,15})(ms|s|m|h|d|w|)", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: With one way to read a text: where there are many, `re` tries them all (`schema/patterns.py`).
_VALUE = re.compile(r"[!-~]+(?:[\t ][!-~]+)*")
_PATH = re.compile(r"/[!\"$->@-~]*")
#: What fields of routes and policies have room for: a path, the value of a field, a name of a field or a cookie.
MAX_PATH, MAX_VALUE, MAX_TOKEN = 1024, 4096, 256
#: The longest time that a duration says, in milliseconds: its numbers have five digits.
MAX_DURATION = 99_999 * 3_600_000
_OCTETS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def flag(text: str) -> bool | None:
    """True or false; None: neither."""
    return True if text in _TRUE else False if text in _FALSE else None


def number(text: str) -> int | None:
    """A whole number, 0 or more; None: none."""
    return int(text) if _NUMBER.fullmatch(text) else None


def octets(text: str) -> int | None:
    """A size as nginx writes it (`8m`); None: none."""
    found = _SIZE.fullmatch(text)
    return int(found[1]) * _OCTETS[found[2].lower()] if found else None


def seconds(text: str) -> int | None:
    """A time as nginx writes it (`60`, `60s`, `1h`), in whole seconds; None: none."""
    found = _TIME.fullmatch(text)
    if found is None:
        return None
    return int(found[1]) // 1000 if found[2] == "ms" else int(found[1]) * _SECONDS[found[2]]


def words(text: str) -> tuple[str, ...]:
    """The parts of a list that commas separate, each once; blanks around them and empty ones are left out."""
    return tuple(dict.fromkeys(part for item in text.split(",") if (part := item.strip())))


def is_host(text: str) -> bool:
    """Whether it is the name of a host, and no address."""
    return is_subdomain(text) and all(map(is_label, text.split("."))) and network(text) is None


def is_token(text: str) -> bool:
    """Whether it is the name of a header field or a cookie (RFC 9110 section 5.6.2)."""
    return len(text) <= MAX_TOKEN and _TOKEN.fullmatch(text) is not None


def is_field_value(text: str) -> bool:
    """Whether it may be the value of a header field of a route."""
    return len(text) <= MAX_VALUE and _VALUE.fullmatch(text) is not None


def is_path(text: str) -> bool:
    """Whether it is a path that a message can have: printable ASCII, and no query."""
    return len(text) <= MAX_PATH and _PATH.fullmatch(text) is not None


def network(text: str) -> str | None:
    """An address or CIDR block in its plain form; None: none. Go takes no zone (`fe80::1%eth0`)."""
    if "%" in text:
        return None
    try:
        return str(ipaddress.ip_network(text, strict=False)) if "/" in text else str(ipaddress.ip_address(text))
    except ValueError:
        return None


def quantity(size: int) -> str:
    """Octets as Kubernetes writes them, such as `8Mi`."""
    for unit, exponent in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if size and size % (1 << exponent) == 0:
            return f"{size >> exponent}{unit}"
    return str(size)


def duration(milliseconds: int) -> str:
    """A duration as the Gateway API writes it (GEP-2257), such as `1h30m`."""
    if milliseconds % 1000:
        return f"{milliseconds}ms" if milliseconds < 100_000 else f"{milliseconds // 1000}s"
    left, parts = milliseconds // 1000, ""
    for unit, length in (("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, length)
        parts += f"{count}{unit}" if count else ""
    return parts or "0s"

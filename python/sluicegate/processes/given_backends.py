"""Where Services' programs listen, as somebody says on the command line: `default/cart:80=127.0.0.1:9001`.

In place of EndpointSlices, which outside a cluster nobody writes. What is given for a port of a Service wins over what
is given for the whole Service, and both over EndpointSlices.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address
from typing import TypeAlias

#: Namespace, name and port of a Service; port 0: all of its ports.
Place: TypeAlias = tuple[str, str, int]
#: Addresses and ports where the programs listen.
GivenBackends: TypeAlias = Mapping[Place, tuple[tuple[str, int], ...]]

#: How one is written.
EXAMPLE = "default/cart=127.0.0.1:9001"
_NAME = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_SERVICE = re.compile(rf"(?P<namespace>{_NAME})/(?P<name>{_NAME})(?::(?P<port>\d{{1,5}}))?")
_MAX_PORT = 65_535


class GivenBackendError(ValueError):
    """A backend that is written in a way that cannot be used."""


def service_of(text: str) -> str:
    """What stands for the Service: of two layers of settings the upper one says all of a Service."""
    return text.partition("=")[0].strip()


def given_backends(texts: Iterable[str]) -> GivenBackends:
    """Read backends as they are given; a Service that is given twice has both endpoints.

    Raises:
        GivenBackendError: one that is none.
    """
    found: dict[Place, tuple[tuple[str, int], ...]] = {}
    for text in texts:
        place, endpoint = _parse(text)
        known = found.get(place, ())
        found[place] = known if endpoint in known else (*known, endpoint)
    return found


def _parse(text: str) -> tuple[Place, tuple[str, int]]:
    named, sign, where = (part.strip() for part in text.partition("="))
    service = _SERVICE.fullmatch(named)
    if not sign:
        raise GivenBackendError(f"{text!r} does not say where the program listens: write it like {EXAMPLE}")
    if service is None:
        raise GivenBackendError(f"{named!r} is no NAMESPACE/SERVICE or NAMESPACE/SERVICE:PORT: write it like {EXAMPLE}")
    host, _, port = where.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    address = "127.0.0.1" if host == "localhost" else host
    if not _is_address(address):
        raise GivenBackendError(f"{where!r} is not an IP address (or localhost) and port: write it like {EXAMPLE}")
    number = service["port"]
    return (
        (service["namespace"], service["name"], _port(number, text) if number else 0),
        (str(ip_address(address)), _port(port, text)),
    )


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _port(digits: str, text: str) -> int:
    number = int(digits) if digits.isascii() and digits.isdigit() else 0
    if not 0 < number <= _MAX_PORT:
        raise GivenBackendError(f"{text!r}: {digits or 'nothing'} is no port between 1 and {_MAX_PORT}")
    return number

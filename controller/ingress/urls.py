"""URLs of annotations, and the backends that they mean: a Service of the cluster, or a host outside."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from .backends import cluster_service
from .inventory import Inventory
from .options import Name

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
#: `service.namespace`, which may as well be a host outside.
_SHORT = re.compile(rf"({_LABEL})\.({_LABEL})")
_PORTS = {"http": 80, "https": 443}


class Url(NamedTuple):
    """A URL, in parts.

    Attributes:
        scheme: `http` or `https`.
        host: of it.
        port: of it, the usual one where none is written.
        path: of it, `/` at least.
        query: of it.
    """

    scheme: str
    host: str
    port: int
    path: str
    query: str


def service_of(url: Url, inventory: Inventory) -> Name | None:
    """The Service that the host of a URL is; None: it is none of the cluster."""
    found = cluster_service(url.host)
    if found is not None:
        return found
    short = _SHORT.fullmatch(url.host)
    return Name(short[2], short[1]) if short is not None and (short[2], short[1]) in inventory.services else None


def parse(text: str) -> Url | None:
    """The parts of a URL; None: it is none that can be asked."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    if parts.scheme not in _PORTS or not host or "$" in text:
        return None
    return Url(parts.scheme, host, port or _PORTS[parts.scheme], parts.path or "/", parts.query)

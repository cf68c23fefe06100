"""URLs of annotations, and the backends that they mean: a Service of the cluster, or a host outside."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

_SERVICE = re.compile(r"([a-z][-a-z0-9]{0,62})\.([a-z0-9][-a-z0-9]{0,62})(?:\.svc(?:\.cluster\.local)?)?\.?")
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

    @property
    def service(self) -> tuple[str, str] | None:
        """Namespace and name of the Service that the host is; None: it is none of the cluster."""
        found = _SERVICE.fullmatch(self.host)
        inside = found is not None and (self.host.count(".") > 1 or "." not in self.host.partition(".")[2])
        if found is None or not inside or not (".svc" in self.host or self.host.count(".") == 1):
            return None
        return found[2], found[1]


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

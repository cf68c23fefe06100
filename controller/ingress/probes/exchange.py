"""A request that is asked of two gateways, and what one of them does with it."""

from __future__ import annotations

import re
import shlex
from typing import Literal

import msgspec

#: Name and value of a header field.
Field = tuple[str, str]

_PORTS = {"http": ":80", "https": ":443"}
#: What a backend is taken to answer, so that what becomes of its fields can be seen.
SAMPLE: tuple[Field, ...] = (("content-type", "text/plain"), ("x-powered-by", "probe"))


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A request.

    Attributes:
        method: such as `GET`.
        scheme: `http` goes to port 80, `https` to port 443.
        host: of the `Host` field, with a port where one is written; also the server name of the handshake.
        target: path and query.
        headers: name and value, in order.
        client: the address that it comes from.
        user: name of somebody who has proved who they are by a password; empty: nobody has.
        certificate: whether the client shows a certificate that the CAs of the host vouch for.
        edge: what it looks at, for people.
    """

    method: str = "GET"
    scheme: Literal["http", "https"] = "http"
    host: str
    target: str = "/"
    headers: tuple[Field, ...] = ()
    client: str = "203.0.113.7"
    user: str = ""
    certificate: bool = False
    edge: str = ""

    def field(self, name: str) -> str | None:
        """The values of a field, as one; None: it has none."""
        found = [value for key, value in self.headers if key.lower() == name.lower()]
        return ", ".join(found) if found else None

    @property
    def curl(self) -> str:
        """The same for a terminal; whose address it has, and who vouches for the user, a terminal cannot say."""
        parts = ["curl", "-ik", "--path-as-is"]
        if self.method != "GET":
            parts += ["-X", self.method]
        for name, value in self.headers:
            parts += ["-H", f"{name}: {value}"]
        if self.user:
            parts += ["-u", f"{self.user}:PASSWORD"]
        if self.certificate:
            parts += ["--cert", "CERTIFICATE"]
        return shlex.join([*parts, f"{self.scheme}://{self.host}{self.target}"])


class Share(msgspec.Struct, frozen=True, order=True):
    """A backend, and how much of such requests it gets.

    Attributes:
        backend: `namespace/service:port`, or `host:port` of one outside; empty: nobody, its share is refused.
        part: from 0 to 1.
    """

    backend: str
    part: float


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a gateway does with a request.

    Attributes:
        status: that it answers by itself; 0: a backend is asked.
        location: of a redirect, absolute and without the usual port.
        fields: of the answer, by name in lower case: of its own where it answers, else what becomes of `SAMPLE`.
        backends: that may be asked, in the order of their names.
        refused: the connection is not taken, or ends in its handshake.
        carried: the backend gets the bytes of TLS, and nothing of the request is read.
        target: path and query that the backend gets.
        authority: host that the backend gets.
        sent: fields that the backend gets, by name in lower case, without those of the gateway's own (`X-Forwarded-*`).
        mirrored: whether a copy goes elsewhere.
        asked: who else has a say: `external`, `limits`. Both are taken to let the request on.
        server: the host whose rules hold; `_`: those for all other hosts.
        place: object and field of the Ingress that have the path; empty where nobody has it.
        why: for people.
    """

    status: int = 0
    location: str = ""
    fields: dict[str, str] = msgspec.field(default_factory=dict)
    backends: tuple[Share, ...] = ()
    refused: bool = False
    carried: bool = False
    target: str = ""
    authority: str = ""
    sent: dict[str, str] = msgspec.field(default_factory=dict)
    mirrored: bool = False
    asked: tuple[str, ...] = ()
    server: str = ""
    place: tuple[str, str] = ("", "")
    why: str = ""

    def __str__(self) -> str:
        if self.refused:
            return f"no connection ({self.why})"
        if not self.status:
            shares = " or ".join(_share(item) for item in self.backends) or "nobody"
            asked = f", {' and '.join(self.asked)} asked" if self.asked else ""
            rest = "bytes of TLS" if self.carried else f"{self.target} of {self.authority}"
            return f"{rest} to {shares}{asked}"
        found = f"{self.status}" + (f" to {self.location}" if self.location else "")
        return found + (f" ({self.why})" if self.why else "")


def _share(item: Share) -> str:
    part = "" if item.part == 1 else f" ({item.part:.0%})"
    return f"{item.backend or 'nobody'}{part}"


def normal_url(url: str) -> str:
    """A URL with its host in lower case, without the port that its scheme has anyway, and with a path."""
    found = re.fullmatch(r"(https?)(://[^/?#]*)(.*)", url)
    if found is None:
        return url
    authority = found[2].lower().removesuffix(_PORTS[found[1]])
    rest = found[3] if found[3].startswith("/") else f"/{found[3]}"
    return f"{found[1]}{authority}{rest}"

"""Probes over real sockets, and answers in the form in which they are compared.

Who asks comes by the PROXY protocol, so both gateways have it switched on. Backends answer with what they got.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
from dataclasses import dataclass

import msgspec
from system_backends import Answer as Respond
from system_backends import Received, response
from system_clients import Http1, Response

from sluicegate.controller.ingress.probes import SAMPLE, Answer, Probe, Share
from sluicegate.controller.ingress.probes.exchange import normal_url

#: The password of whoever a probe names, and the file that has it.
USER, PASSWORD = "anna", "secret"
PASSWORDS = f"{USER}:{{SHA}}{base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()}\n"
#: Fields of requests that a gateway sets or takes out by itself.
_SENT = re.compile(
    r"host|connection|upgrade|te|keep-alive|transfer-encoding|content-length|proxy|expect|authorization"
    r"|x-forwarded-(?:for|host|port|proto|scheme)|x-real-ip|x-request-id|x-scheme|x-original-.*",
    re.IGNORECASE,
)
#: Fields of answers that every server has, and cookies of sessions.
_USUAL = frozenset(
    {"server", "set-cookie", "date", "connection", "keep-alive", "transfer-encoding", "content-length", "x-back"}
)
_PREFLIGHT = frozenset(f"access-control-{name}" for name in ("allow-methods", "allow-headers", "max-age"))
_SERVER_NAME = re.compile(r"(?!\d+(?:\.\d+){3}$)[A-Za-z0-9.-]+")


@dataclass(frozen=True)
class Entry:
    """Where a gateway listens."""

    address: str
    http: int
    https: int


def backend(name: str) -> Respond:
    """Answers with the fields of `SAMPLE`, and says who it is and what it got."""

    def answer(request: Received) -> bytes:
        document = {"target": request.target, "headers": request.headers}
        return response(json.dumps(document).encode(), headers=(*SAMPLE, ("x-back", name)))

    return answer


def ask(probe: Probe, entry: Entry) -> Answer:
    """Ask a gateway."""
    try:
        connection = _connect(probe, entry)
    except (ssl.SSLError, ConnectionError):
        return Answer(refused=True)
    try:
        fields = probe.headers
        if probe.user:
            secret = base64.b64encode(f"{probe.user}:{PASSWORD}".encode()).decode()
            fields = (*fields, ("authorization", f"Basic {secret}"))
        return _read(connection.request(probe.method, probe.host, probe.target, fields), entry, probe.method)
    except (ssl.SSLError, ConnectionError):
        return Answer(refused=True)
    finally:
        connection.close()


def as_seen(said: Answer) -> Answer:
    """What of a said answer can be seen on the wire: no fields that gateways set by themselves, no spaces at an end."""
    sent = {name: value.strip() for name, value in said.sent.items() if not _SENT.fullmatch(name)}
    return msgspec.structs.replace(said, sent=sent)


def _connect(probe: Probe, entry: Entry) -> Http1:
    version, own = ("TCP6", "2001:db8::1") if ":" in probe.client else ("TCP4", "192.0.2.1")
    port = 443 if probe.scheme == "https" else 80
    first = f"PROXY {version} {probe.client} {own} 40000 {port}\r\n".encode()
    if probe.scheme == "http":
        return Http1(entry.address, entry.http, first=first)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    name = probe.host.partition(":")[0].lower().removesuffix(".")
    return Http1(entry.address, entry.https, context, name if _SERVER_NAME.fullmatch(name) else None, first=first)


def _read(found: Response, entry: Entry, method: str) -> Answer:
    fields = {name.lower(): value for name, value in found.headers}
    name = fields.get("x-back")
    told = {name: value for name, value in fields.items() if name not in _USUAL}
    if method != "OPTIONS":
        # nginx sends what is about preflights with every answer, and nobody reads it there.
        told = {name: value for name, value in told.items() if name not in _PREFLIGHT}
    if name is None:
        location = re.sub(rf"(?<=[a-z]):(?:{entry.http}|{entry.https})(?=/|$)", "", told.pop("location", ""))
        return Answer(status=found.status, location=normal_url(location), fields=told)
    got = found.echo
    sent = {key.lower(): value for key, value in got["headers"] if not _SENT.fullmatch(key)}
    return Answer(
        fields=told,
        backends=(Share(name, 1.0),),
        target=got["target"],
        authority=found.sent("host") or "",
        sent=sent,
    )

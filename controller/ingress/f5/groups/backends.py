"""How Services are spoken to, which are named one by one, and how an endpoint is chosen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from ... import values
from ...cookie_values import same_site
from ...features import Affinity, BackendTls, Balancing, Feature, Protocol
from ...hash_keys import key_of
from ...reading import Reading

_TLS, _GRPC = "nginx.org/ssl-services", "nginx.org/grpc-services"
_STICKY, _METHOD = "nginx.com/sticky-cookie-services", "nginx.org/lb-method"
_COOKIE = re.compile(r"serviceName=(?P<service>\S+)\s+(?P<cookie>[^\s=;]+)(?P<rest>(?:\s+\S+)*)")
#: Methods that the gateway's own choice is as good as.
_OWN = frozenset({"random", "random two", "random two least_conn", "least_conn"})
_MAX_AGE = 315_360_000  # `expires=max` of nginx: ten years


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of what is about all Services of an Ingress."""
    wrong = [item for item in _entries(reading) if not _COOKIE.fullmatch(item)]
    if wrong:
        message = f"no cookie: {'; '.join(wrong)}: the controller refused the Ingress"
        reading.tell(_STICKY, "invalid", message, "write serviceName=NAME COOKIE, parted by ;")
    written = reading.value(_METHOD)
    if written is None and reading.settings.is_written("lb-method"):
        written = reading.settings.value("lb-method")
    if written is None or written.text in _OWN:
        reading.tell(_METHOD, "converted", "the endpoint with the fewest requests is the gateway's own choice")
        return
    key = key_of(written.text.removeprefix("hash ").removesuffix(" consistent").strip())
    if written.text == "round_robin":
        yield Balancing(causes=(written.cause,), kind="RoundRobin")
    elif written.text == "ip_hash":
        yield Balancing(causes=(written.cause,), kind="Hash", key=("client",))
    elif written.text.startswith(("least_time ", "random two least_time")):
        yield Balancing(causes=(written.cause,), kind="PeakEwma")
    elif written.text.startswith("hash ") and key:
        yield Balancing(causes=(written.cause,), kind="Hash", key=key)
    else:
        message = f"nothing is like {written.text}: the endpoint with the fewest requests is chosen"
        remedy = "use round_robin, ip_hash, least_time, or hash with $remote_addr, $host, $http_NAME or $cookie_NAME"
        reading.tell_of(written, "no-equivalent", message, remedy)


def of_service(reading: Reading, service: str) -> Iterator[Feature]:
    """What is about one Service."""
    tls, grpc = service in reading.words(_TLS), service in reading.words(_GRPC)
    if tls or grpc:
        name: Literal["HTTPS", "GRPC", "GRPCS"] = "GRPCS" if tls and grpc else "HTTPS" if tls else "GRPC"
        yield Protocol(causes=reading.causes(_GRPC if grpc else _TLS), name=name)
    if tls:
        yield BackendTls(causes=reading.causes(_TLS), verify=False)
    for entry in _entries(reading):
        found = _COOKIE.fullmatch(entry)
        if found is not None and found["service"] == service:
            options = dict(item.partition("=")[::2] for item in found["rest"].split())
            expires = options.get("expires", "")
            seconds = _MAX_AGE if expires == "max" else values.seconds(expires) or 0 if expires else 0
            causes = reading.causes(_STICKY)
            site, domain = same_site(options.get("samesite", "")), options.get("domain", "").removeprefix(".").lower()
            if site is None or (domain and not values.is_host(domain)):
                reading.tell(_STICKY, "invalid", "no domain, or no samesite: it is left out", "correct the value")
            yield Affinity(
                causes=causes,
                cookie=found["cookie"],
                path=options.get("path", ""),
                seconds=seconds,
                domain=domain if values.is_host(domain) else "",
                same_site=site or "",
                secure=True if "secure" in options else None,
            )


def _entries(reading: Reading) -> list[str]:
    return [item.strip() for item in reading.text(_STICKY).split(";") if item.strip()]

"""Fields of requests and of answers.

Source: `customheaders`, `upstreamvhost` of `internal/ingress/annotations`; `add-headers` of the settings.
"""

from __future__ import annotations

from collections.abc import Iterator

from ... import values
from ...features import Feature, Field, RequestHeaders, ResponseHeaders, UpstreamHost
from ...losses import Cause
from ...reading import Reading
from ..field_maps import fields_of_map
from ..variables import of_ingress, said


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of the annotations of the group."""
    host = reading.value("upstream-vhost")
    name = of_ingress(host.text, reading.ingress) if host is not None else ""
    if "$" in name:
        message = "variables of nginx have no place in a route: the host stays"
        remedy = "write the name itself; for $service_name give each Service an Ingress of its own"
        reading.tell("upstream-vhost", "no-equivalent", message, remedy)
    elif host is not None and not values.is_host(name.partition(":")[0].lower()):
        reading.tell("upstream-vhost", "invalid", "it is no host: the host of the request stays", "correct the name")
    elif host is not None:
        yield UpstreamHost(causes=(host.cause,), host=name)
    yield from _requests(reading)
    yield from _responses(reading)


def _requests(reading: Reading) -> Iterator[Feature]:
    """`x-forwarded-prefix`, and what the settings give to every backend."""
    causes: list[Cause] = []
    fields: dict[str, Field] = {}
    computed: dict[str, Field] = {}
    settings = reading.settings
    if settings.is_written("proxy-set-headers"):
        given = settings.value("proxy-set-headers")
        for name, text in fields_of_map(reading, given):
            value = of_ingress(text, reading.ingress)
            filled = said(value)
            if filled is None:
                message = f"{name} has a variable of nginx that nothing here is like: it is not set"
                remedy = "HTTPFilter `headers.request.set[].expression` may say it"
                reading.ledger.tell(given.cause, "no-equivalent", message, remedy)
            elif filled.computed:
                computed[name.lower()] = (name, filled.text)
            else:
                fields[name.lower()] = (name, value)
        causes += [given.cause] if fields or computed else []
    prefix, target = reading.value("x-forwarded-prefix"), reading.value("rewrite-target")
    if prefix is not None and target is None:
        message = "without rewrite-target it never did anything"
        reading.tell("x-forwarded-prefix", "dropped-harmless", message, "take it out")
    elif prefix is not None and not values.is_field_value(prefix.text):
        reading.tell("x-forwarded-prefix", "invalid", "it cannot stand in a field: it is left out", "use plain text")
    elif prefix is not None:
        fields["x-forwarded-prefix"] = ("X-Forwarded-Prefix", prefix.text)
        causes.append(prefix.cause)
    if fields or computed:
        made = tuple(fields.values()), tuple(computed.values())
        yield RequestHeaders(causes=tuple(causes), fields=made[0], computed=made[1])


def _responses(reading: Reading) -> Iterator[Feature]:
    """`custom-headers`, and what the settings add to and hide of every answer."""
    causes = [*reading.causes("custom-headers")]
    fields: dict[str, Field] = {}
    settings = reading.settings
    if settings.is_written("add-headers"):
        added = settings.value("add-headers")
        causes.append(added.cause)
        fields |= {name.lower(): (name, value) for name, value in fields_of_map(reading, added)}
    written = reading.value("custom-headers")
    if written is not None:
        allowed = {item.strip().lower() for item in settings.value("global-allowed-response-headers").text.split(",")}
        for name, value in fields_of_map(reading, written):
            if name.lower() in allowed:
                fields[name.lower()] = (name, value)
            else:
                message = (
                    f"{name} is not among global-allowed-response-headers: there the paths answer 503; it is missing"
                )
                reading.tell("custom-headers", "invalid", message, "give the settings with --config-map")
    hidden: tuple[str, ...] = ()
    if settings.is_written("hide-headers"):
        found = settings.value("hide-headers")
        causes.append(found.cause)
        hidden = tuple(item for item in values.words(found.text) if values.is_token(item))
    if fields or hidden:
        yield ResponseHeaders(causes=tuple(causes), fields=tuple(fields.values()), hidden=hidden)

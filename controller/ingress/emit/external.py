"""A service that says who may, as AccessPolicy `external` asks one."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ...api.ingress import Ingress
from .. import values
from ..features import ExternalAuth
from ..hosts import Host, Location
from ..urls import Url, parse, service_of
from .manifest import slug
from .output import Output, Target
from .rules import service_reference
from .xbackends import ADDRESS, EXTERNAL_GROUP, external_host

#: Fields of requests that a service is given besides method, URL, host and Authorization.
_ASKED = ("Cookie", "Accept", "Origin", "User-Agent", "X-Requested-With")
#: Names that `allowedResponseHeaders` has room for, of which one may be Set-Cookie; fields that a service is told.
MAX_FIELDS, MAX_TOLD = 64, 32
#: Requests that a connection carries at most, and seconds that it is kept (BackendPolicy).
MAX_REUSE, MAX_IDLE = 1_000_000_000, 24 * 3600
_PARAMETER = re.compile(r"[A-Za-z0-9_.~-]{1,63}")
#: `?rd=$escaped_request_uri` and its like: the gateway adds where to come back to.
_COME_BACK = re.compile(
    r"[?&](?P<name>[\w-]+)=(?P<whole>(?:\$scheme|\$pass_access_scheme|https?)://\$(?:best_)?(?:http_)?host)?"
    r"\$(?:escaped_)?request_uri$"
)
#: A URL of whatever host was asked.
_OWN_HOST = re.compile(r"(?:https?|\$scheme)://\$(?:http_)?host(?P<path>/[^$]*)")
#: A query of RFC 3986, section 3.4.
_QUERY = re.compile(r"(?:[-A-Za-z0-9._~!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*", re.ASCII)
#: A URL of `signIn`, and characters that it has room for.
_SIGN_IN = re.compile(r"[!$&'()*+,./:;=?@A-Za-z0-9_~%\[\]-]+")
MAX_SIGN_IN = 1000


class _Backend(NamedTuple):
    """What is asked.

    Attributes:
        reference: of a policy.
        service: namespace and name, where a grant may be needed; None: a host outside.
        outside: that host, which needs an XBackend.
    """

    reference: dict[str, Any]
    service: tuple[str, str] | None = None
    outside: Url | None = None


def asked(feature: ExternalAuth, ingress: Ingress, host: Host, output: Output) -> bool:
    """Whether it can be told who is asked; where not, that is told, and nobody may be let in."""
    url = _url(feature, host)
    if url is not None and url.query and _target(url) is None:
        # Such as `?allowed_groups=admins`: without it the service might let anybody in.
        message = f"?{url.query} is no query that a request can have, or a long one: requests are answered 500"
        remedy = f"encode it by percent signs; path and query have {values.MAX_PATH:,} characters at most"
        output.ledger.tell(feature.cause, "invalid", message, remedy, host=host.name)
        return False
    if len(feature.response_headers) >= MAX_FIELDS:
        # Without all of them in the list a client could say the others itself.
        message = f"{len(feature.response_headers)} fields of answers, and there is room for {MAX_FIELDS - 1}: closed"
        output.ledger.tell(feature.cause, "no-equivalent", message, "name fewer fields", host=host.name)
        return False
    if len(feature.fields) + len(feature.computed) > MAX_TOLD:
        # It may decide by any of them.
        message = f"more fields than the {MAX_TOLD} that a service can be told: requests are answered 500"
        output.ledger.tell(feature.cause, "no-equivalent", message, "name fewer fields", host=host.name)
        return False
    if url is not None and _backend(url, ingress, host, output) is not None:
        return True
    message = "no service can be told from the URL: requests are answered 500 until it is named"
    remedy = "write the URL of a Service, such as http://oauth2-proxy.auth.svc.cluster.local:4180/oauth2/auth"
    output.ledger.tell(feature.cause, "no-equivalent", message, remedy, host=host.name)
    return False


def emit_external(feature: ExternalAuth, ingress: Ingress, host: Host, targets: list[Target], output: Output) -> None:
    """Make the policy for the routes of one host: URLs may have the host in them."""
    url = _url(feature, host)
    backend = _backend(url, ingress, host, output) if url is not None else None
    asked_for = _target(url) if url is not None else None
    if url is None or asked_for is None or backend is None:
        return  # its paths are closed
    name = output.names.give("AccessPolicy", ingress.namespace, ingress.name, slug(host.name))
    reference = backend.reference
    if backend.outside is not None:
        made = external_host(backend.outside, ingress.namespace, feature.causes, output)
        output.once(made)
        reference = {**reference, "name": made.name}
    if backend.service is not None:
        source = ("sluicegate.dev", "AccessPolicy", ingress.namespace)
        output.grant(source, "Service", *backend.service, feature.causes)
    # A list without names would be all fields: nothing of the answer is to stand in for what the client says.
    cookies = feature.cookies or feature.sign_in or not feature.response_headers
    response = [*feature.response_headers, *(["Set-Cookie"] if cookies else [])]
    told = [{"name": name, "value": text} for name, text in feature.fields]
    told += [{"name": name, "expression": text} for name, text in feature.computed]
    value: dict[str, Any] = {
        "protocol": "HTTP",
        "backendRef": reference,
        "http": {
            "path": asked_for,
            "exact": True,
            **({"host": url.host} if values.is_host(url.host) else {}),
            **({"method": feature.method} if feature.method else {}),
            **({"setHeaders": told} if told else {}),
            "allowedHeaders": list(_ASKED),
            "allowedResponseHeaders": list(dict.fromkeys(response)),
            **({"cookies": feature.cookies} if feature.cookies == "WithSuccess" else {}),
        },
        "timeout": "60s",
    }
    if feature.cache_seconds:
        value["cache"] = {"ttl": values.duration(feature.cache_seconds * 1000)}
    sign_in = _sign_in(feature, host, output)
    if sign_in:
        value["signIn"] = sign_in
    output.policy("AccessPolicy", ingress.namespace, name, targets, "external", value, feature.causes)
    _keep(feature, reference, backend.service, ingress, output)


def _keep(
    feature: ExternalAuth,
    reference: dict[str, Any],
    service: tuple[str, str] | None,
    ingress: Ingress,
    output: Output,
) -> None:
    """How connections to the service are kept: it holds for whoever asks it."""
    namespace, name = service or (ingress.namespace, reference["name"])
    target = {"group": "", "kind": "Service", "name": name}
    if service is None:
        target = {"group": EXTERNAL_GROUP, "kind": "XBackend", "name": name}
    own = output.names.give("BackendPolicy", namespace, name)
    if feature.connection_requests:
        requests = {"maxRequests": output.at_most(feature.connection_requests, MAX_REUSE, "requests", feature.cause)}
        output.policy("BackendPolicy", namespace, own, [target], "connection", requests, feature.causes)
    if feature.connection_idle:
        seconds = output.at_most(feature.connection_idle, MAX_IDLE, "seconds", feature.cause)
        idle = {"idle": values.duration(seconds * 1000)}
        output.policy("BackendPolicy", namespace, own, [target], "timeouts", idle, feature.causes)


def _url(feature: ExternalAuth, host: Host) -> Url | None:
    """The URL of the service; None: it is none that a policy can name."""
    url = parse(_with_host(feature.url, host))
    return url if url is not None and values.is_path(url.path) else None


def _target(url: Url) -> str | None:
    """Path and query, as a policy names them; None: it has no room for them."""
    found = f"{url.path}?{url.query}" if url.query else url.path
    return found if len(found) <= values.MAX_PATH and _QUERY.fullmatch(url.query) else None


def _with_host(url: str, host: Host) -> str:
    """A URL with the variables that a host answers."""
    found = url.replace("$scheme", "https" if host.certificate is not None else "http")
    return re.sub(r"\$(?:http_)?host\b", host.name, found) if host.name and not host.name.startswith("*") else found


def _backend(url: Url, ingress: Ingress, host: Host, output: Output) -> _Backend | None:
    """The Service that a URL leads to; a host outside becomes an XBackend."""
    if url.host in host.names:
        location = _location(host, url.path)
        if location is None or location.backend is None or not location.backend.port or location.backend.outside:
            return None
        backend = location.backend
        named = (backend.namespace, backend.service)
        return _Backend(service_reference(ingress.namespace, *named, backend.port), named)
    service = service_of(url, output.inventory)
    if service is not None:
        return _Backend(service_reference(ingress.namespace, *service, url.port), service)
    if ADDRESS.fullmatch(url.host):
        return None
    return _Backend(
        {"group": EXTERNAL_GROUP, "kind": "XBackend", "name": "", "port": url.port},
        outside=url,  # named once made
    )


def _location(host: Host, path: str) -> Location | None:
    """The location of a host that takes a path."""
    found = [
        item
        for item in host.locations
        if item.path == path or (item.kind == "Prefix" and path.startswith(item.path.rstrip("/") + "/"))
    ]
    return max(found, key=lambda item: len(item.path), default=None)


def _sign_in(feature: ExternalAuth, host: Host, output: Output) -> dict[str, str]:
    """Where people sign in; what brings them back is added by the gateway."""
    if not feature.sign_in:
        return {}
    text, parameter = feature.sign_in, feature.parameter
    found, path_alone = _COME_BACK.search(text), False
    if found is not None:
        text, parameter, path_alone = text[: found.start()], found["name"], found["whole"] is None
    if not _PARAMETER.fullmatch(parameter):
        message = f"{parameter} is no name of a parameter: rd holds"
        output.ledger.tell(feature.cause, "invalid", message, "correct auth-signin-redirect-param", host=host.name)
        parameter = "rd"
    text = _with_host(text, host)
    own = _OWN_HOST.fullmatch(text)
    text = own["path"] if own is not None else text
    if own is None and ("$" in text or parse(text) is None or not _SIGN_IN.fullmatch(text) or len(text) > MAX_SIGN_IN):
        message = "no URL without variables: whoever is refused is told 401"
        output.ledger.tell(
            feature.cause, "no-equivalent", message, "write auth-signin without variables", host=host.name
        )
        return {}
    return {"url": text, "parameter": parameter, **({"returnTo": "Path"} if path_alone else {})}

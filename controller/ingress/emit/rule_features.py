"""Features that rules say: filters, retries, sessions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from sluicegate.words import listed

from .. import patterns, values
from ..features import (
    Affinity,
    Answer,
    CollectBody,
    Cors,
    ErrorPages,
    Feature,
    Mirror,
    PathEdit,
    RequestHeaders,
    ResponseHeaders,
    ResponseRewrite,
    Retry,
    Rewrite,
    UpstreamHost,
)
from ..hosts import Host, Location
from ..urls import Url, parse, service_of
from .error_pages import error_pages
from .fields import forwarding_fields, request_fields, response_fields
from .grpc import is_grpc
from .output import GATEWAY_GROUP, Output
from .path_edits import edit_path
from .rules import RuleDraft, is_prefix_host, service_reference
from .xbackends import ADDRESS, EXTERNAL_GROUP, external_host

_F = TypeVar("_F", bound=Feature)
#: Beginnings of a target that is a redirect.
_SCHEMES = ("http://", "https://")

#: Items of the lists of a `CORS` filter, its longest time.
MAX_CORS, MAX_SECONDS = 64, (1 << 31) - 1
#: Tries after the first one.
MAX_ATTEMPTS = 100
#: `allowMethods` of a `CORS` filter.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"})


class At(NamedTuple):
    """The location of a rule, and where what is made goes."""

    location: Location
    host: Host
    output: Output


def _rewrite(feature: Rewrite, rule: RuleDraft, at: At) -> None:
    """`rewrite "(?i)PATH" TARGET break`: the whole path becomes the target, the query stays."""
    location, target, ledger = at.location, feature.target, at.output.ledger
    if target == location.path:
        return
    if target.startswith(_SCHEMES):
        _rewrite_elsewhere(feature, rule, at)
        return
    stripped = patterns.strip(location.path, target)
    if is_prefix_host(at.host) and stripped is not None:
        rule.rewrite["path"] = {"type": "ReplacePrefixMatch", "replacePrefixMatch": stripped.replacement}
        return
    path, mark, query = target.partition("?")
    if mark:
        message = f"a rewrite has no query: ?{query} is missing"
        ledger.tell(feature.cause, "no-equivalent", message, "have the backend do without it", host=at.host.name)
    filled = patterns.filled(path, location.path)
    if filled is None:
        message = "variables of nginx have no place in a path: its requests are answered 500"
        ledger.tell(feature.cause, "no-equivalent", message, "write the path itself", host=at.host.name)
        rule.backends = []
        return
    filled = filled if filled.startswith("/") else f"/{filled}"
    if not values.is_path(filled):
        message = "it is no path that a request can have: its requests are answered 500"
        ledger.tell(feature.cause, "invalid", message, "correct the path", host=at.host.name)
        rule.backends = []
        return
    if not patterns.has_groups(path) or "\\" not in filled:
        rule.rewrite["path"] = {"type": "ReplaceFullPath", "replaceFullPath": filled}
        return
    spec = {"rewrite": {"pathRegex": {"pattern": f"(?i)^(?:{location.path}).*$", "replacement": filled}}}
    name = at.output.filter(location.ingress, "rewrite", spec, feature.causes)
    if name is None:
        rule.backends = []  # the backend would get paths that are not meant for it
        return
    rule.extensions.append(name)
    rule.host_by_backend = True


def leads_elsewhere(location: Location) -> bool:
    """Whether a rewrite sends its requests to another host, whatever the backend."""
    feature = location.features.get(Rewrite)
    return feature is not None and feature.target.startswith(_SCHEMES)


def _rewrite_elsewhere(feature: Rewrite, rule: RuleDraft, at: At) -> None:
    """A target with a host is a redirect."""
    try:
        parts = urlsplit(feature.target)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    fits = values.is_host(parts.hostname or "") and values.is_path(parts.path or "/")
    if "$" in feature.target or parts.query or not fits:
        message = "no URL that a redirect can have: its requests are answered 500"
        at.output.ledger.tell(feature.cause, "no-equivalent", message, "write the URL itself", host=at.host.name)
        rule.backends = []
        return
    path = {"type": "ReplaceFullPath", "replaceFullPath": parts.path or "/"}
    rule.redirect = {"scheme": parts.scheme, "hostname": parts.hostname, "path": path, "statusCode": 302}
    if port:
        rule.redirect["port"] = port
    rule.backends = []


def _path_edit(feature: PathEdit, rule: RuleDraft, at: At) -> None:
    edit_path(feature, rule, at.location, at.host, at.output)


def _upstream_host(feature: UpstreamHost, rule: RuleDraft, at: At) -> None:
    name = feature.host.lower()
    host, colon, _port = name.partition(":")
    if colon:
        message = f"a host has no port in a rewrite: the backend gets {host}"
        at.output.ledger.tell(feature.cause, "converted-with-difference", message)
    rule.rewrite["hostname"] = host


def _request_headers(feature: RequestHeaders, rule: RuleDraft, at: At) -> None:
    request_fields(feature, rule, at.location, at.output)


def _response_headers(feature: ResponseHeaders, rule: RuleDraft, at: At) -> None:
    response_fields(feature, rule, at.location, at.output)


def _answer(feature: Answer, rule: RuleDraft, at: At) -> None:
    rule.backends = []
    respond: dict[str, Any] = {"status": feature.status}
    if feature.body:
        respond |= {"headers": [{"name": "content-type", "value": feature.content_type}], "body": feature.body}
    name = at.output.filter(at.location.ingress, "answer", {"respond": respond}, feature.causes)
    rule.extensions += [name] if name is not None else []


def _cors(feature: Cors, rule: RuleDraft, at: At) -> None:
    def fitting(items: tuple[str, ...], what: str, word: str) -> list[str]:
        return at.output.fitting(items, MAX_CORS, what, feature.cause_of(word), at.host.name)

    methods = [item for item in feature.methods if item in _METHODS]
    if len(methods) < len(feature.methods):
        others = listed(item for item in feature.methods if item not in _METHODS)
        message = f"{others}: the Gateway API has no such method"
        cause = feature.cause_of("methods")
        at.output.ledger.tell(cause, "no-equivalent", message, "leave it out", host=at.host.name)
    rule.cors = {
        "allowOrigins": fitting(feature.origins, "origins", "origin"),
        "allowCredentials": feature.credentials,
        "allowMethods": ["*"] if "*" in methods else methods,
        "allowHeaders": fitting(feature.headers, "fields of requests", "allow-headers"),
        **(
            {"exposeHeaders": fitting(feature.exposed, "fields of answers", "expose-headers")}
            if feature.exposed
            else {}
        ),
        "maxAge": _age(feature, at),
    }


def _age(feature: Cors, at: At) -> int:
    """Seconds that an answer to a preflight holds: 1 at least."""
    cause = feature.cause_of("max-age")
    if not feature.max_age:
        at.output.ledger.tell(cause, "converted-with-difference", "a preflight is remembered for 1 second at least")
    return max(1, at.output.at_most(feature.max_age, MAX_SECONDS, "a time in seconds", cause))


def _retry(feature: Retry, rule: RuleDraft, at: At) -> None:
    attempts = at.output.at_most(feature.attempts, MAX_ATTEMPTS, "a number of further tries", feature.cause_of("tries"))
    rule.retry = {"codes": list(feature.codes), "attempts": attempts}


def _affinity(feature: Affinity, rule: RuleDraft, at: At) -> None:
    cookie: dict[str, Any] = {"name": feature.cookie}
    path = feature.path or ("/" if at.host.regex is not None else at.location.path)
    if not feature.path and at.host.regex is not None:
        message = "the cookie is for all paths: there it had an expression as its path, which browsers do not send back"
        at.output.ledger.tell(feature.cause, "converted-with-difference", message, "set session-cookie-path")
    if path != "/":
        cookie["path"] = path
    if feature.seconds:
        cookie["lifetimeType"] = "Permanent"
    rule.session = {"type": "Cookie", "cookie": cookie}
    if feature.seconds:
        cause = next((item for item in feature.causes if item.value == str(feature.seconds)), feature.cause)
        time = at.output.at_most_time(feature.seconds * 1000, values.MAX_DURATION, "a life of a cookie", cause)
        rule.session["absoluteTimeout"] = time


def _collect(feature: CollectBody, rule: RuleDraft, at: At) -> None:
    spec = {"buffer": {"maxSize": values.quantity(feature.octets)}}
    name = at.output.filter(at.location.ingress, "buffer", spec, feature.causes)
    rule.extensions += [name] if name is not None else []


def _mirror(feature: Mirror, rule: RuleDraft, at: At) -> None:
    """A copy goes to a Service of the cluster, or to a host outside; it has the target of its request."""
    url, ingress = parse(feature.url.replace("$request_uri", "")), at.location.ingress
    if url is None or ADDRESS.fullmatch(url.host):
        message = "copies go to a URL with a name and without variables but $request_uri"
        at.output.ledger.tell(feature.cause, "no-equivalent", message, "write the URL itself", host=at.host.name)
        return
    if url.path != "/" or "$request_uri" not in feature.url:
        message = "a copy has the path of its request"
        at.output.ledger.tell(feature.cause, "converted-with-difference", message, host=at.host.name)
    reference = _mirrored(url, feature, at)
    if is_grpc(at.location) or at.output.options.standard_only:
        message = "a copy has the host of its request, and its body"
        at.output.ledger.tell(feature.cause, "converted-with-difference", message, host=at.host.name)
        rule.mirrors.append({"backendRef": reference})
        return
    content: dict[str, Any] = {"backendRef": reference, "hostname": feature.host or url.host}
    if not feature.body:
        content["body"] = "None"
    name = at.output.filter(ingress, "mirror", {"mirror": content}, feature.causes)
    rule.extensions += [name] if name is not None else []


def _mirrored(url: Url, feature: Mirror, at: At) -> dict[str, Any]:
    """Who gets the copies."""
    own, service = at.location.ingress.namespace, service_of(url, at.output.inventory)
    if service is None:
        outside = external_host(url, own, feature.causes, at.output)
        at.output.once(outside)
        return {"group": EXTERNAL_GROUP, "kind": "XBackend", "name": outside.name}
    at.output.grant((GATEWAY_GROUP, "HTTPRoute", own), "Service", *service, feature.causes)
    return service_reference(own, *service, url.port)


def _responses(feature: ResponseRewrite, rule: RuleDraft, at: At) -> None:
    content: dict[str, Any] = {}
    if feature.locations:
        content["location"] = [{"prefix": start, "replacement": end} for start, end in feature.locations]
    cookie: dict[str, Any] = {}
    for name, pairs in (("domain", feature.domains), ("path", feature.paths)):
        if pairs:
            start, end = pairs[0]
            cookie[name] = {"from": start, "to": end}
    if cookie:
        content["cookies"] = [cookie]
    name_of_filter = at.output.filter(
        at.location.ingress, "responses", {"rewrite": {"response": content}}, feature.causes
    )
    rule.extensions += [name_of_filter] if name_of_filter is not None else []


#: What says each; in this order.
_EMITTERS: dict[type[Feature], Callable[[Any, RuleDraft, At], None]] = {
    Cors: _cors,
    RequestHeaders: _request_headers,
    Rewrite: _rewrite,
    PathEdit: _path_edit,
    UpstreamHost: _upstream_host,
    Mirror: _mirror,
    ResponseHeaders: _response_headers,
    Retry: _retry,
    Affinity: _affinity,
    Answer: _answer,
    CollectBody: _collect,
    ResponseRewrite: _responses,
}
RULE_FEATURES = frozenset({*_EMITTERS, ErrorPages})


def apply(rule: RuleDraft, at: At) -> None:
    """Say the features of a location's Ingress in its rule."""
    for kind, emit in _EMITTERS.items():
        feature = at.location.features.get(kind)
        if feature is not None:
            rule.causes += [item for item in feature.causes if item not in rule.causes]
            emit(feature, rule, at)
    if rule.backends:
        forwarding_fields(rule, at.location, at.output)
    clients = at.host.clients
    leads = (clients.error_page, clients.causes) if clients is not None and not is_grpc(at.location) else ("", ())
    error_pages(rule, at.location, leads, at.output)

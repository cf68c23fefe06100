"""Configuration of nginx in annotations: what features say is converted, all else told with what to write instead.

Source: the directives of nginx' modules and of headers-more; which of them people use: about twenty public charts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sluicegate.words import listed

from ... import values
from ...features import Closed, Feature
from ...reading import Reading
from ...settings import Value
from ..directives import Directive, Draft, parse, take
from ..variables import of_ingress

_OF_HTTP = ("configuration-snippet", "server-snippet")

#: Blanks end with their line: the next one begins anew, and of many empty lines each would be followed to the end.
_DIRECTIVE = re.compile(r"(?:^|[;{}])[^\S\n]*([a-z_][a-z0-9_]*)", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")

#: What refuses requests: nothing must go on without it, where snippets are honoured at all. `allow` alone refuses
#: nobody: it stands before a `deny`, or takes back that of a server.
_REFUSING = frozenset({"deny", "auth_basic", "auth_request", "auth_jwt", "satisfy"})
#: The same in a text that is no configuration.
_PROTECTS = re.compile(rf"(?:^|[;{{}}])[^\S\n]*(?:{'|'.join(sorted(_REFUSING))}|return\s+[4-5]\d\d)\b", re.MULTILINE)
_CANARY = "nginx.ingress.kubernetes.io/canary"

_RESPONSE = "`ResponseHeaderModifier`"
_REQUEST = "`RequestHeaderModifier`; with variables HTTPFilter `headers.request.set[].expression`"
_ACCESS = "AccessPolicy `authorization`"
#: What says the same as a directive; a name alone holds for all that begin with it.
ADVICE: dict[str, str] = {
    "more_set_headers": f"{_RESPONSE} `set`",
    "add_header": f"{_RESPONSE} `add`",
    "more_clear_headers": f"{_RESPONSE} `remove`",
    "proxy_hide_header": f"{_RESPONSE} `remove`",
    "proxy_set_header": _REQUEST,
    "more_set_input_headers": _REQUEST,
    "more_clear_input_headers": "`RequestHeaderModifier` `remove`",
    "rewrite": "`URLRewrite` or `RequestRedirect`; with groups HTTPFilter `rewrite.pathRegex`",
    "return": "`RequestRedirect`, or HTTPFilter `respond`",
    "location": "a path of an Ingress, or a rule of its own",
    "deny": _ACCESS,
    "allow": _ACCESS,
    "auth_basic": "AccessPolicy `basic`",
    "auth_request": "AccessPolicy `external`",
    "satisfy": "AccessPolicy `exempt`",
    "client_max_body_size": "ClientPolicy `body.maxSize`",
    "client_body_timeout": "ClientPolicy `body.timeout`",
    "client_header_timeout": "ClientPolicy `timeouts.head`",
    "client_body_buffer_size": "nothing: bodies are not written to disk",
    "proxy_read_timeout": "BackendPolicy `timeouts.firstByte`",
    "proxy_connect_timeout": "BackendPolicy `timeouts.connect`",
    "proxy_send_timeout": "the engine's `stall_timeout_ms`",
    "grpc_read_timeout": "BackendPolicy `timeouts.firstByte`",
    "grpc_send_timeout": "the engine's `stall_timeout_ms`",
    "send_timeout": "the engine's `response_read_timeout_ms`",
    "keepalive_timeout": "ClientPolicy `timeouts.idle`",
    "limit_req": "RateLimitPolicy `local.limits[]`",
    "limit_conn": "RateLimitPolicy `local.limits[].concurrent`",
    "error_page": "HTTPFilter `errorPages`",
    "proxy_intercept_errors": "HTTPFilter `errorPages`",
    "proxy_redirect": "HTTPFilter `rewrite.response.location`",
    "proxy_cookie_path": "HTTPFilter `rewrite.response.cookies`",
    "proxy_cookie_domain": "HTTPFilter `rewrite.response.cookies`",
    "proxy_buffering": "nothing: answers go on as they come",
    "proxy_buffers": "nothing: heads of answers have room enough",
    "proxy_buffer_size": "nothing: heads of answers have room enough",
    "large_client_header_buffers": "ClientPolicy `headers.maxSize`",
    "proxy_request_buffering": "HTTPFilter `buffer` collects bodies",
    "proxy_http_version": "nothing: HTTP/1.1",
    "underscores_in_headers": "ClientPolicy `headers.underscores`",
    "access_log": "ClientPolicy `accessLog`",
    "mirror": "`RequestMirror`",
    "set": "what uses the variable",
    "if": "a match of a rule, or a CEL expression of a policy",
    "gzip": "nothing: have the application compress",
    "brotli": "nothing: have the application compress",
    "expires": f"{_RESPONSE} `set` of `Cache-Control`",
    "proxy_cache": "nothing: have the application, or a cache behind it, do it",
    "sub_filter": "nothing: bodies are not changed",
    "ssl_protocols": "ClientPolicy `tls`",
}


def read(reading: Reading) -> Iterator[Feature]:
    """Make features of what the snippets have, and tell the rest."""
    critical = reading.settings.value("annotations-risk-level").text == "Critical"
    note = "" if critical else ", and without annotations-risk-level: Critical it costs the whole Ingress there"
    allowed = reading.settings.flag("allow-snippet-annotations")
    yield from read_snippets(reading, _OF_HTTP, note, honoured=allowed, converted=allowed and critical)


def read_snippets(
    reading: Reading, names: Iterable[str], note: str, *, honoured: bool, converted: bool
) -> Iterator[Feature]:
    """Make features of what snippets have; one that refuses requests and is not understood closes their paths.

    Args:
        reading: of the Ingress.
        names: of the annotations.
        note: what is said of those that the controller did not take.
        honoured: whether it took them.
        converted: whether features are made of them.
    """
    for name in names:
        found = reading.value(name)
        if found is None:
            continue
        if converted:
            yield from _taken(name, found, reading)
            continue
        directives = _named(found.text)
        remedy = f"write instead: {_advice_for(directives)}" if directives else ""
        message = f"configuration of nginx is not converted{note}"
        if honoured and _PROTECTS.search(_plain(found.text)):
            message = "configuration of nginx that refuses requests is not converted: its paths answer 500"
            yield Closed(causes=(found.cause,), reason="a snippet that refuses requests")
        reading.tell(name, "no-equivalent", message, remedy)


def _taken(name: str, found: Value, reading: Reading) -> Iterator[Feature]:
    """The features of one snippet; tells what of it nothing says."""
    of_server = "server" in name
    draft = Draft(found.cause, of_server, reading.is_expressible)
    directives = parse(found.text if of_server else of_ingress(found.text, reading.ingress))
    untaken = [item for item in directives or () if not take(item, draft)]
    left = list(dict.fromkeys(item.name for item in untaken)) if directives is not None else _named(found.text)
    protects = any(map(_protects, untaken)) if directives is not None else _PROTECTS.search(_plain(found.text))
    if draft.access and draft.addresses() is None:
        left += dict.fromkeys(action for action, _ in draft.access)
        protects = True
    others = _others(reading) if of_server else []
    if protects or (others and (draft.refusals or draft.access or draft.answer)):
        message = "configuration of nginx that refuses requests is not converted: its paths answer 500"
        if others:
            message += f"; paths of {listed(others)} at the same host stay open"
        reading.tell(name, "no-equivalent", message, f"write instead: {_advice_for(left or _named(found.text))}")
        yield Closed(causes=(found.cause,), reason="a snippet that refuses requests")
        return
    if others:
        draft.differs(f"{listed(others)} has paths of the host too, and these have nothing of it")
    if left:
        done = "; the rest of it is" if len(left) < len(_named(found.text)) else ""
        message = f"{listed(left)}: not converted{done}"
        reading.tell(name, "no-equivalent", message, f"write instead: {_advice_for(left)}")
    else:
        message = "filters and policies that say the same, as far as its directives are read by themselves"
        reading.tell(name, "converted-with-difference", "; ".join((message, *draft.differences)))
    yield from draft.features()


def _protects(directive: Directive) -> bool:
    """Whether a directive, or one in its braces, refuses requests."""
    name, arguments = directive.name, directive.arguments
    refuses = name in _REFUSING or name.startswith("access_by_lua")
    refuses = refuses or (name == "return" and re.match("[45]", (*arguments, "")[0]) is not None)
    return refuses or any(map(_protects, directive.block or ()))


def _others(reading: Reading) -> list[str]:
    """Other Ingresses that have paths of the hosts; a canary has what the other one says."""
    found = reading.inventory.others_of_hosts(reading.ingress)
    return [str(item.key) for item in found if values.flag(item.metadata.annotations.get(_CANARY, "")) is not True]


def _plain(text: str) -> str:
    """A text without what is quoted and without comments."""
    return _COMMENT.sub("", _QUOTED.sub("", text))


def _named(text: str) -> list[str]:
    """The directives of a text, each once, those in braces too."""
    return list(dict.fromkeys(_DIRECTIVE.findall(_plain(text))))


def _advice_for(directives: Iterable[str]) -> str:
    known = [f"{item}: {advice}" for item in directives if (advice := _advice(item))]
    others = [item for item in directives if not _advice(item)]
    remedy = listed(known) if known else "docs/migration.md has the commonest directives"
    return f"{remedy}; {listed(others)}: nothing that is known" if others else remedy


def _advice(directive: str) -> str:
    """What says the same as a directive, or as those that begin alike (`gzip_types`); empty: nothing."""
    while directive:
        if directive in ADVICE:
            return ADVICE[directive]
        directive = directive.rpartition("_")[0]
    return ""

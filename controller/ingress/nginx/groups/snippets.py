"""Configuration of nginx in annotations: nothing is converted, and each directive is told with what to write instead.

Source: the directives of nginx' modules and of headers-more; which of them people use: about twenty public charts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sluicegate.words import listed

from ...features import Closed, Feature
from ...reading import Reading

_OF_HTTP = ("configuration-snippet", "server-snippet")

_DIRECTIVE = re.compile(r"(?:^|[;{}])\s*([a-z_][a-z0-9_]*)", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")
_QUOTED = re.compile(r"\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")

#: What refuses requests: nothing must go on without it, where snippets are honoured at all.
_PROTECTS = re.compile(
    r"(?:^|[;{}])\s*(?:deny|auth_basic|auth_request|auth_jwt|satisfy|return\s+4\d\d)\b", re.MULTILINE
)

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
    """Tell what the snippets have."""
    critical = reading.settings.value("annotations-risk-level").text == "Critical"
    note = "" if critical else ", and without annotations-risk-level: Critical it costs the whole Ingress there"
    yield from read_snippets(reading, _OF_HTTP, note, honoured=reading.settings.flag("allow-snippet-annotations"))


def read_snippets(reading: Reading, names: Iterable[str], note: str, *, honoured: bool) -> Iterator[Feature]:
    """Tell what snippets have; one that refuses requests closes their paths.

    Args:
        reading: of the Ingress.
        names: of the annotations.
        note: what is said of those that close nothing.
        honoured: whether the controller took them.
    """
    for name in names:
        found = reading.value(name)
        if found is None:
            continue
        text = _COMMENT.sub("", _QUOTED.sub("", found.text))
        directives = list(dict.fromkeys(_DIRECTIVE.findall(text)))
        known = [f"{item}: {advice}" for item in directives if (advice := _advice(item))]
        others = [item for item in directives if not _advice(item)]
        remedy = listed(known) if known else "docs/migration.md has the commonest directives"
        if others:
            remedy += f"; {listed(others)}: nothing that is known"
        message = f"configuration of nginx is not converted{note}"
        protects = honoured and _PROTECTS.search(text) is not None
        if protects:
            message = "configuration of nginx that refuses requests is not converted: its paths answer 500"
            yield Closed(causes=(found.cause,), reason="a snippet that refuses requests")
        reading.tell(name, "no-equivalent", message, f"write instead: {remedy}")


def _advice(directive: str) -> str:
    """What says the same as a directive, or as those that begin alike (`gzip_types`); empty: nothing."""
    while directive:
        if directive in ADVICE:
            return ADVICE[directive]
        directive = directive.rpartition("_")[0]
    return ""

"""A rule of a route while it is made: filters of one kind are put together, as a rule has each once."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

from .. import patterns
from ..backends import Backend
from ..features import Field, Protocol, RegexPaths, Rewrite
from ..hosts import Host, Location
from ..losses import Cause
from ..urls import Url
from .manifest import unique
from .output import Output
from .xbackends import EXTERNAL_GROUP, external_host

Match = dict[str, Any]

#: What a path of a match may be (`HTTPPathMatch`).
_PATH = re.compile(r"(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})+")
_REFUSED = ("//", "/./", "/../", "%2f", "%2F", "#")
MAX_PATH = 1024


@dataclass(slots=True)
class RuleDraft:
    """A rule.

    Attributes:
        match: of it.
        causes: where it comes from.
        cors: content of a filter.
        request: fields that the backend gets, by name in lower case.
        removed: names of fields that it does not get.
        response: fields that clients get, by name in lower case.
        added: fields that they get beside those of their names.
        hidden: names of fields that they do not get.
        rewrite: content of a filter.
        redirect: content of a filter; such a rule has no backends.
        mirrors: contents of filters.
        extensions: names of HTTPFilters.
        backends: of it.
        retry: of it.
        session: of it.
        host_by_backend: an HTTPFilter rewrites the path, so that the host is each backend's to rewrite.
    """

    match: Match
    causes: list[Cause] = field(default_factory=list)
    cors: dict[str, Any] | None = None
    request: dict[str, Field] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    response: dict[str, Field] = field(default_factory=dict)
    added: list[Field] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    rewrite: dict[str, Any] = field(default_factory=dict)
    redirect: dict[str, Any] | None = None
    mirrors: list[dict[str, Any]] = field(default_factory=list)
    extensions: list[str] = field(default_factory=list)
    backends: list[dict[str, Any]] = field(default_factory=list)
    retry: dict[str, Any] | None = None
    session: dict[str, Any] | None = None
    host_by_backend: bool = False

    def copy(self) -> RuleDraft:
        """One that may be changed by itself."""
        return replace(
            self,
            causes=list(self.causes),
            request=dict(self.request),
            removed=list(self.removed),
            response=dict(self.response),
            added=list(self.added),
            hidden=list(self.hidden),
            rewrite=dict(self.rewrite),
            mirrors=list(self.mirrors),
            extensions=list(self.extensions),
            backends=list(self.backends),
        )

    def document(self) -> dict[str, Any]:
        """The rule as it is written."""
        found: dict[str, Any] = {"matches": [self.match]} if self.match else {}
        filters = self._filters()
        found |= {"filters": filters} if filters else {}
        found |= {"backendRefs": self._backends()} if self.backends else {}
        found |= {"retry": self.retry} if self.retry else {}
        found |= {"sessionPersistence": self.session} if self.session else {}
        return found

    def _backends(self) -> list[dict[str, Any]]:
        if not self.host_by_backend or not self.rewrite:
            return self.backends
        own = [_filter("URLRewrite", "urlRewrite", self.rewrite)]
        return [{**item, "filters": own} for item in self.backends]

    def _filters(self) -> list[dict[str, Any]]:
        if self.redirect is not None:
            return [{"type": "RequestRedirect", "requestRedirect": self.redirect}]
        request = _edit(self.request, [], self.removed)
        response = _edit(self.response, self.added, self.hidden)
        found = [
            _filter("CORS", "cors", self.cors),
            _filter("RequestHeaderModifier", "requestHeaderModifier", request),
            _filter("URLRewrite", "urlRewrite", {} if self.host_by_backend else self.rewrite),
            *(_filter("RequestMirror", "requestMirror", item) for item in self.mirrors),
            _filter("ResponseHeaderModifier", "responseHeaderModifier", response),
        ]
        found += [
            _filter("ExtensionRef", "extensionRef", {"group": "sluicegate.dev", "kind": "HTTPFilter", "name": name})
            for name in self.extensions
        ]
        return [item for item in found if item]


def _edit(fields: dict[str, Field], added: list[Field], removed: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if fields:
        found["set"] = [{"name": name, "value": value} for name, value in fields.values()]
    if added:
        found["add"] = [{"name": name, "value": value} for name, value in added]
    if removed:
        found["remove"] = removed
    return found


def _filter(kind: str, name: str, content: dict[str, Any] | None) -> dict[str, Any]:
    return {"type": kind, name: content} if content else {}


def path_match(location: Location, host: Host, output: Output) -> Match | None:
    """What a location matches; None: no route can say it, which is told."""
    if host.regex is None or is_plain(location, output):
        kind, path = "Exact" if location.kind == "Exact" else "PathPrefix", location.path
        if _PATH.fullmatch(path) and not any(part in path for part in _REFUSED) and len(path) <= MAX_PATH:
            return {"path": {"type": kind, "value": path}}
        message = "no request has such a path, or the Gateway API does not take it: left out"
        output.ledger.tell(location.cause, "invalid", message, "correct the path", host=host.name, touches=("path",))
        return None
    stripped = _stripped(location)
    if is_prefix_host(host) and stripped is not None:
        return {"path": {"type": "PathPrefix", "value": stripped}}
    regex = location.features.get(RegexPaths)
    ignores_case = (regex is None or regex.ignores_case) and not output.options.strict_paths
    if host.have_alternatives is None:
        host.have_alternatives = any(patterns.has_alternatives(item.path) for item in host.locations)
    wrapped = host.have_alternatives
    pattern = patterns.path_pattern(location.path, ignores_case=ignores_case, wrapped=wrapped)
    wrong = patterns.reason(location.path) or output.options.pattern_error(pattern) or ""
    if not wrong and len(pattern) > MAX_PATH:
        wrong = f"it has {len(pattern):,} characters, and {MAX_PATH:,} are allowed"
    if wrong:
        message = f"{wrong}: left out, and another path of the host may take its requests"
        remedy = "write it as two paths, the more special one first"
        output.ledger.tell(location.cause, "no-equivalent", message, remedy, host=host.name, touches=("path",))
        return None
    return {"path": {"type": "RegularExpression", "value": pattern}}


def is_plain(location: Location, output: Output) -> bool:
    """Whether a path of a host with expressions is taken by its type: where that is wanted, and it is none itself."""
    own = location.features.get(RegexPaths) is not None or location.features.get(Rewrite) is not None
    return output.options.strict_paths and not own and _PATH.fullmatch(location.path) is not None


def is_prefix_host(host: Host) -> bool:
    """Whether all expressions of a host do no more than take off a prefix: prefixes say the same then, but for case."""
    if host.are_prefixes is None:
        host.are_prefixes = host.regex is not None and all(_stripped(item) is not None for item in host.locations)
    return host.are_prefixes


def _stripped(location: Location) -> str | None:
    """The prefix that says what a location of a host with expressions does; None: none does."""
    rewrite = location.features.get(Rewrite)
    if location.implied and location.backend is None:
        return "/"
    if rewrite is None or rewrite.target == location.path:
        return "/" if location.path in {"/", "/.*", "/(.*)"} else None
    found = patterns.strip(location.path, rewrite.target)
    return found.prefix if found is not None else None


def started(location: Location, host: Host, output: Output) -> RuleDraft | None:
    """A rule for a location, with its match alone."""
    match = path_match(location, host, output)
    if match is None:
        return None
    causes = unique((location.cause, *((host.regex,) if host.regex is not None else ())))
    return RuleDraft(match, list(causes))


def service_reference(own: str, namespace: str, service: str, port: int) -> dict[str, Any]:
    """A Service, as an object of a namespace names it."""
    found: dict[str, Any] = {"name": service}
    if namespace != own:
        found["namespace"] = namespace
    return found | {"port": port}


def backend_reference(
    location: Location, backend: Backend, causes: tuple[Cause, ...], output: Output
) -> dict[str, Any]:
    """A backend, as a rule of a location names it; a host outside the cluster gets an XBackend."""
    own = location.ingress.namespace
    if not backend.outside:
        return service_reference(own, backend.namespace, backend.service, backend.port)
    protocol = location.features.get(Protocol)
    scheme = "https" if protocol is not None and protocol.name in {"HTTPS", "GRPCS"} else "http"
    made = external_host(Url(scheme, backend.outside, backend.port, "/", ""), backend.namespace, causes, output)
    output.once(made)
    found = {"group": EXTERNAL_GROUP, "kind": made.kind, "name": made.name}
    return found | ({"namespace": backend.namespace} if backend.namespace != own else {})

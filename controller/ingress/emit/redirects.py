"""Rules that redirect whatever comes, from both ports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from .. import values
from ..expressions import quoted
from ..features import AppRoot, Closed, Redirect, RelativeRedirects
from ..hosts import Host, Location
from .differences import nginx_order
from .output import Output
from .rules import RuleDraft, started

_REQUEST_URI = "$request_uri"


def redirected(location: Location, host: Host, output: Output) -> RuleDraft | None:
    """A location that is a redirect as a whole; None: it is none."""
    feature = location.features.get(Redirect)
    if feature is None:
        return None
    rule = started(location, host, output)
    if rule is None:
        return None
    rule.causes += feature.causes
    text = feature.url
    keeps = text.endswith(_REQUEST_URI)
    text = text.removesuffix(_REQUEST_URI)
    for variable in ("$http_host", "$host"):
        text = text.replace(f"://{variable}", "://" + (host.name or "-"))
    scheme_stays = text.startswith("$scheme://")
    text = "http" + text.removeprefix("$scheme") if scheme_stays else text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    fits = not parts.hostname or parts.hostname in {host.name, "-"} or values.is_host(parts.hostname)
    fits = fits and values.is_path(parts.path or "/") and bool(parts.hostname or text.startswith("/"))
    if "$" in text or not fits or parts.scheme not in {"", "http", "https"}:
        message = "no URL that a redirect can have: its requests are answered 500"
        output.ledger.tell(feature.cause, "no-equivalent", message, "write scheme, host and path", host=host.name)
        return rule
    content: dict[str, Any] = {}
    if parts.hostname:
        content |= {} if scheme_stays else {"scheme": parts.scheme}
        content |= {} if parts.hostname in {host.name, "-"} else {"hostname": parts.hostname}
    if port:
        content["port"] = port
    if not keeps:
        content["path"] = {"type": "ReplaceFullPath", "replaceFullPath": parts.path or "/"}
        if parts.query:
            message = f"a redirect has no query of its own: ?{parts.query} is missing"
            output.ledger.tell(feature.cause, "no-equivalent", message, "HTTPFilter `respond` says it", host=host.name)
    rule.redirect = {**content, "statusCode": feature.status}
    return rule


def roots(host: Host) -> list[Location]:
    """The locations of a host that send `/` elsewhere, also those that another one hides; the first one does."""
    asking = (item for item in (*host.locations, *host.hidden) if item.features.get(AppRoot) is not None)
    return sorted(asking, key=nginx_order)


def app_root(asking: Sequence[Location], host: Host, output: Output) -> list[RuleDraft]:
    """`/` alone, sent elsewhere: it is the server's, whichever path of the host asks for it; the first one has it.

    Args:
        asking: what asks for it (`roots`).
        host: whose `/` it is.
        output: takes what is told.
    """
    rules: list[RuleDraft] = []
    first = asking[0].ingress.key if asking else None
    for location in asking:
        own = location.features.get(AppRoot)
        if own is None:
            continue
        if location.ingress.key != first:
            message = f"{first} sends / elsewhere first"
            output.ledger.tell(own.cause, "invalid", message, "keep one of the two", host=host.name)
        elif not rules:
            rule = RuleDraft({"path": {"type": "Exact", "value": "/"}}, list(own.causes))
            path = {"type": "ReplaceFullPath", "replaceFullPath": own.path}
            rule.redirect = {"path": path, "statusCode": 302}
            rules.append(rule)
    return rules


def leads_away(location: Location, host: Host) -> bool:
    """Whether `/` alone is sent elsewhere before the location is asked for it, and for nothing else."""
    alone = location.path == "/" and location.kind == "Exact" and host.regex is None
    return alone and bool(roots(host))


def slash(location: Location, host: Host, output: Output) -> RuleDraft | None:
    """What nginx does by itself for a path that ends in `/`: without it, it is sent there by 301."""
    path = location.path
    if host.regex is not None or len(path) < 2 or not path.endswith("/") or location.backend is None:
        return None
    bare = path.rstrip("/")
    if not bare or any(item.path == bare for item in host.locations):
        return None
    closed = location.features.get(Closed)
    if closed is not None and closed.there:
        message = f"{bare} was another path's: nginx sends nobody to the / of a path that it refuses"
        output.ledger.tell(
            location.cause, "converted-with-difference", message, host=host.name, touches=("path", "redirect")
        )
        return None
    rule = RuleDraft({"path": {"type": "Exact", "value": bare}}, [location.cause])
    relative = location.features.get(RelativeRedirects)
    if relative is not None and _answers(rule, path, relative, location, output):
        return rule
    rule.redirect = {"path": {"type": "ReplaceFullPath", "replaceFullPath": path}, "statusCode": 301}
    return rule


def _answers(rule: RuleDraft, path: str, feature: RelativeRedirects, location: Location, output: Output) -> bool:
    """Have a rule say a path alone, which no `RequestRedirect` can; False: nothing but the standard is wanted."""
    field = {"name": "location", "expression": f"{quoted(path)} + (request.query == '' ? '' : '?' + request.query)"}
    parts = (("slash", {"respond": {"status": 301}}), ("slash-location", {"headers": {"response": {"set": [field]}}}))
    names = [output.filter(location.ingress, label, spec, feature.causes) for label, spec in parts]
    rule.extensions += [name for name in names if name is not None]
    rule.causes += feature.causes
    return None not in names

"""Paths that backends get in place of those of the requests, where matches stay as they are."""

from __future__ import annotations

import re

from ..features import PathEdit
from ..hosts import Host, Location
from .output import Output
from .rules import RuleDraft


def edit_path(feature: PathEdit, rule: RuleDraft, location: Location, host: Host, output: Output) -> None:
    """Say the other path in a rule; what cannot be said leaves it without backends."""
    find, replacement = feature.find, feature.replacement
    if feature.kind == "Full":
        rule.rewrite["path"] = {"type": "ReplaceFullPath", "replaceFullPath": replacement}
        return
    if feature.kind == "Prefix" and host.regex is None:
        prefix = (find or location.path).rstrip("/")
        if not f"{prefix}/".startswith(location.path) and not f"{location.path}/".startswith(f"{prefix}/"):
            message = f"no request of the path {location.path} begins with {prefix}/: nothing is taken off"
            output.ledger.tell(feature.cause, "dropped-harmless", message, host=host.name)
            return
        if f"{location.path}/".startswith(f"{prefix}/"):
            rest = location.path.rstrip("/").removeprefix(prefix)
            _replace_prefix(f"{replacement.rstrip('/')}{rest}", rule, location)
            return
    if feature.kind == "Add" and host.regex is None:
        _replace_prefix(f"{replacement.rstrip('/')}{location.path.rstrip('/')}", rule, location)
        return
    pattern = find
    if feature.kind == "Prefix":
        pattern, replacement = f"^{re.escape(find)}/?", f"{replacement.rstrip('/')}/"
    elif feature.kind == "Add":
        pattern, replacement = "^", replacement.rstrip("/")
    wrong = "" if find or feature.kind == "Add" else "the path is an expression: no prefix can be told"
    wrong = wrong or output.options.pattern_error(pattern) or ""
    if wrong:
        message = f"{wrong}: its requests are answered 500"
        output.ledger.tell(
            feature.cause, "no-equivalent", message, "write HTTPFilter `rewrite.pathRegex`", host=host.name
        )
        rule.backends = []
        return
    spec = {"rewrite": {"pathRegex": {"pattern": pattern, "replacement": replacement}}}
    name = output.filter(location.ingress, "path", spec, feature.causes)
    if name is None:
        rule.backends = []  # the backend would get paths that are not meant for it
        return
    rule.extensions.append(name)


def _replace_prefix(replacement: str, rule: RuleDraft, location: Location) -> None:
    if location.kind == "Exact":
        rule.rewrite["path"] = {"type": "ReplaceFullPath", "replaceFullPath": replacement or "/"}
    else:
        rule.rewrite["path"] = {"type": "ReplacePrefixMatch", "replacePrefixMatch": replacement or "/"}

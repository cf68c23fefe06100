"""What a host is not any more, or not in the same way, whatever its annotations say."""

from __future__ import annotations

import itertools

from .. import patterns
from ..features import Passthrough
from ..hosts import Host, Location
from ..wider_hosts import before
from .listeners import HTTPS, Listeners
from .output import Output
from .rules import is_prefix_host

#: Expressions of one length that are compared with each other.
MAX_TIES = 300


def nginx_order(location: Location) -> tuple[int, str]:
    """Longer paths first, as nginx takes expressions; of equal length the later text first."""
    return (-len(location.path), "".join(chr(0x10FFFF - ord(each)) for each in location.path))


def tell_differences(host: Host, listeners: Listeners, output: Output) -> None:
    """Tell what a host is not any more, or not in the same way."""
    if host.name.startswith("*."):
        message = "a wildcard stands for one label there, and for one or more here"
        remedy = "names of several labels get the same backend; list the hosts where that matters"
        output.ledger.tell(host.cause, "converted-with-difference", message, remedy, host=host.name, touches=("host",))
    traits, title = output.provider.traits, output.provider.title
    textual = next((item for item in host.locations if item.kind == "Prefix" and item.path[-1:] != "/"), None)
    if traits.prefixes_by_text and textual is not None and host.regex is None:
        message = f"{title} takes a prefix by its characters: {textual.path} had paths such as {textual.path}-x too"
        remedy = "here they go by whole elements of a path; add a path where such requests are meant"
        output.ledger.tell(textual.cause, "converted-with-difference", message, remedy, host=host.name)
    unsecured = host.features.get(Passthrough) is None and listeners.get(host.name, HTTPS) is None
    if unsecured and traits.shows_certificate:
        message = f"without a certificate the host is not served on port 443; {title} shows one of its own there"
        remedy = "give it `tls`, or name a certificate for all such hosts by --default-certificate"
        output.ledger.tell(host.cause, "converted-with-difference", message, remedy, host=host.name, touches=("reach",))
    if traits.longest_rule_first:
        _tell_prefixes(host, title, output)
    _tell_ties(host, output)
    if traits.splits_prefixes:
        _tell_split(host, title, output)
    if host.regex is not None and is_prefix_host(host):
        message = "paths are prefixes now: their case counts, and a full stop is one"
        output.ledger.tell(host.regex, "converted-with-difference", message, host=host.name, touches=("path",))
    elif host.regex is not None and output.options.strict_paths:
        message = f"{title} takes all paths of the host for expressions in any case: here a plain path goes by its "
        message += "type, and the case of expressions counts (--strict-paths)"
        output.ledger.tell(host.regex, "converted-with-difference", message, host=host.name, touches=("path",))


def _tell_split(host: Host, title: str, output: Output) -> None:
    """Tell what comes of it that a prefix is two locations, and each host has a `/`."""
    for alias, cause in host.aliases.items():
        if alias.startswith("*.") and host.certificate is not None:
            message = f"{title} sends names of one label alone to https, of those that {alias} stands for"
            output.ledger.tell(
                cause, "converted-with-difference", message, host=host.name, touches=("redirect", "answer-fields")
            )
    _tell_twice(host, title, output)
    roots = [item for item in host.locations if item.path == "/"]
    if host.regex is not None and len(roots) > 1 and roots[0].backend is None:
        message = f"{title} has its own 404 for / before it, as both are expressions: it was not served, and is here"
        output.ledger.tell(roots[1].cause, "converted-with-difference", message, host=host.name, touches=("path",))


def _tell_twice(host: Host, title: str, output: Output) -> None:
    """Tell paths of which nginx makes one and the same location, or two expressions of one text."""
    seen: dict[str, Location] = {}
    for item in host.locations:
        text = item.path if host.regex is not None else f"{item.path.rstrip('/')}/"
        if host.regex is None and item.kind == "Exact":
            continue
        first = seen.setdefault(text, item)
        if first is item or first.implied:
            continue
        if host.regex is None:
            message = f"{first.path} is the same location, and nginx takes no configuration with both"
            output.ledger.tell(item.cause, "invalid", message, "keep one of the two", host=host.name, touches=("path",))
        else:
            message = f"{first.path} is there as two types, which as expressions are one: another one may come first"
            for each in (first, item):
                output.ledger.tell(each.cause, "converted-with-difference", message, host=host.name, touches=("path",))


def _tell_prefixes(host: Host, title: str, output: Output) -> None:
    """Tell paths whose requests went to a prefix, as its rule is the longer text."""
    prefixes = [item for item in host.locations if item.kind == "Prefix"]
    for exact in (item for item in host.locations if item.kind == "Exact"):
        found = next((item for item in prefixes if before(host.name, exact, item)), None)
        if found is not None and found.backend != exact.backend:
            message = f"{title} gave requests for {exact.path} to the prefix {found.path}, whose rule is no shorter"
            remedy = "here the path goes first; take it out where that is not meant"
            output.ledger.tell(exact.cause, "converted-with-difference", message, remedy, host=host.name)


def _tell_ties(host: Host, output: Output) -> None:
    """Tell expressions of one length of several Ingresses: there the later text goes first, here a route by name."""
    if host.regex is None:
        return
    by_length: dict[int, list[Location]] = {}
    for location in sorted(host.locations, key=nginx_order):
        by_length.setdefault(len(location.path), []).append(location)
    if any(len(found) > MAX_TIES for found in by_length.values()):
        message = f"more than {MAX_TIES} expressions of one length: which of them goes first may be another one now"
        output.ledger.tell(host.regex, "converted-with-difference", message, host=host.name, touches=("path",))
        return
    for first, second in (pair for found in by_length.values() for pair in itertools.combinations(found, 2)):
        canary = second.canary.feature if second.canary is not None else None
        if canary is not None and (canary.header or canary.cookie) and _may_meet(first.path, second.path):
            message = f"what its canary takes by a field goes before {first.path}, which is as long"
            remedy = "make the expression that is to go first the longer one, such as by a `.*` at its end"
            output.ledger.tell(
                second.cause, "converted-with-difference", message, remedy, host=host.name, touches=("path",)
            )
        if first.ingress.key == second.ingress.key or not _may_meet(first.path, second.path):
            continue
        if str(first.ingress.key) > str(second.ingress.key):
            message = f"a path that {first.path} of {first.ingress.key} matches too went there, and comes here now"
            remedy = "make the expression that is to go first the longer one, such as by a `.*` at its end"
            output.ledger.tell(
                second.cause, "converted-with-difference", message, remedy, host=host.name, touches=("path",)
            )


def _may_meet(one: str, other: str) -> bool:
    """Whether two expressions may match one path: what stands before their first special character is no other text."""
    one, other = (patterns.literal(item).lower() for item in (one, other))
    return one.startswith(other) or other.startswith(one)

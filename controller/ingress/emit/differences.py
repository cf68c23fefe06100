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
        output.ledger.tell(host.cause, "converted-with-difference", message, remedy, host=host.name)
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
        output.ledger.tell(host.cause, "converted-with-difference", message, remedy, host=host.name)
    if traits.longest_rule_first:
        _tell_prefixes(host, title, output)
    _tell_ties(host, output)
    if host.regex is not None and is_prefix_host(host):
        message = "paths are prefixes now: their case counts, and a full stop is one"
        output.ledger.tell(host.regex, "converted-with-difference", message, host=host.name)


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
        output.ledger.tell(host.regex, "converted-with-difference", message, host=host.name)
        return
    for first, second in (pair for found in by_length.values() for pair in itertools.combinations(found, 2)):
        if first.ingress.key == second.ingress.key or not _may_meet(first.path, second.path):
            continue
        if str(first.ingress.key) > str(second.ingress.key):
            message = f"a path that {first.path} of {first.ingress.key} matches too went there, and comes here now"
            remedy = "make the expression that is to go first the longer one, such as by a `.*` at its end"
            output.ledger.tell(second.cause, "converted-with-difference", message, remedy, host=host.name)


def _may_meet(one: str, other: str) -> bool:
    """Whether two expressions may match one path: what stands before their first special character is no other text."""
    one, other = (patterns.literal(item).lower() for item in (one, other))
    return one.startswith(other) or other.startswith(one)

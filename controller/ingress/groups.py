"""Which Ingresses have to do with each other, so that the others need not be converted again when one changes.

Those of one group share a host, one of its other names, a wildcard (its certificate is that of hosts below it that have
none), a Service (its policies and its canary hold for all paths to it) or the certificates of clients, which are asked
for by port. Whatever else a conversion looks at it looks up (`looked`).
"""

from __future__ import annotations

from collections.abc import Container, Hashable, Iterable, Iterator

from ..api.ingress import Ingress

#: Ends of annotations that name further hosts, and of those that have all hosts of the Gateway ask for certificates.
_ALIASES, _CLIENTS = "/server-alias", "/auth-tls-secret"


def groups(ingresses: Iterable[Ingress], *, wider: bool = False) -> list[tuple[Ingress, ...]]:
    """Ingresses by group, each in the order given.

    Args:
        ingresses: all that are served.
        wider: what a host has no path for goes on to wider hosts (`wider_hosts`), so these belong to it.
    """
    ordered = list(ingresses)
    if wider and any(_is_for_all(item) for item in ordered):
        return [tuple(ordered)]
    parents = list(range(len(ordered)))
    known = {name for item in ordered for host, name in _parents(item) if host.startswith("*.")}

    def root(number: int) -> int:
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number

    first: dict[Hashable, int] = {}
    for number, item in enumerate(ordered):
        for mark in (*_marks(item), *_wildcards(item, None if wider else known)):
            other = root(first.setdefault(mark, number))
            own = root(number)
            # The first one stays the root: a group is known by it.
            parents[max(own, other)] = min(own, other)
    found: dict[int, list[Ingress]] = {}
    for number, item in enumerate(ordered):
        found.setdefault(root(number), []).append(item)
    return [tuple(items) for items in found.values()]


def _marks(item: Ingress) -> Iterator[Hashable]:
    """What an Ingress may share with others."""
    if not item.spec.rules:
        yield "host", ""
    for rule in item.spec.rules:
        yield "host", _name(rule.host)
        for path in rule.http.paths if rule.http is not None else ():
            service = path.backend.of_service()
            if service is not None:
                yield "service", item.namespace, service.name
    default = item.default_backend
    if default is not None:
        yield "service", item.namespace, default.name
    for name, value in item.metadata.annotations.items():
        if name.endswith(_ALIASES):
            yield from (("host", _name(alias.strip())) for alias in value.split(","))
        elif name.endswith(_CLIENTS):
            yield ("clients",)


def _is_for_all(item: Ingress) -> bool:
    """Whether an Ingress has paths of all hosts."""
    return item.default_backend is not None or any(not rule.host for rule in item.spec.rules)


def _wildcards(item: Ingress, known: Container[str] | None) -> Iterator[Hashable]:
    """The wildcards that the hosts of an Ingress are, or belong to; those that some Ingress has, or (None) any."""
    return (("wildcard", name) for _, name in _parents(item) if known is None or name in known)


def _parents(item: Ingress) -> Iterator[tuple[str, str]]:
    """The hosts of an Ingress, and the domains that they are in."""
    hosts = (rule.host.lower() for rule in item.spec.rules)
    return ((host, host.partition(".")[2]) for host in hosts)


def _name(host: str) -> str:
    """A host; `www.` is no difference, since one may be sent to the other."""
    return host.lower().removeprefix("www.")

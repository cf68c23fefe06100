"""Which requests are asked: hosts x paths x annotations, with their edges.

The same objects and the same seed give the same requests, in the same order. Where a host has more than `MAX_PER_HOST`,
some of them are drawn, and of each edge at least one. Many hosts share `MAX_PROBES`, and none is left out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from ...api.ingress import Ingress
from .exchange import Field, Probe
from .paths import edges
from .people import PREFIX, people

#: Requests of one host, and of all hosts together.
MAX_PER_HOST, MAX_PROBES = 600, 200_000
#: Paths of one host that are looked at.
MAX_PATHS = 64
#: A host that no Ingress has.
UNLISTED = "unlisted.invalid"

Schemes = tuple[Literal["http", "https"], ...]
SCHEMES: Schemes = ("http", "https")


@dataclass(slots=True)
class _Host:
    """What is known of a host.

    Attributes:
        ingresses: that name it, in their order.
        paths: that they have there.
    """

    ingresses: list[Ingress] = field(default_factory=list)
    paths: dict[str, None] = field(default_factory=dict)


def plan(
    ingresses: Iterable[Ingress], seed: int = 0, progress: Callable[[str, int, int], None] | None = None
) -> Iterator[Probe]:
    """The requests that are worth asking.

    Args:
        ingresses: all that there are, whosever they are.
        seed: of what is drawn.
        progress: called for each host.
    """
    hosts = _hosts(ingresses)
    most = max(1, min(MAX_PER_HOST, MAX_PROBES // len(hosts)))
    for number, (name, host) in enumerate(hosts.items()):
        if progress is not None:
            progress(name or "all other hosts", number, len(hosts))
        found = list(dict.fromkeys(_of_host(name, host, seed)))
        yield from _drawn(found, random.Random(f"{seed}/{name}/draw"), most)  # noqa: S311 (no secret is made of it)


def _hosts(ingresses: Iterable[Ingress]) -> dict[str, _Host]:
    """Hosts by name; the empty one is all that no other has."""
    found: dict[str, _Host] = {"": _Host()}
    for item in ingresses:
        for rule in item.spec.rules:
            names = [rule.host.lower(), *_other_names(rule.host.lower(), item)]
            for name in names:
                host = found.setdefault(name, _Host())
                if item not in host.ingresses:
                    host.ingresses.append(item)
                paths = rule.http.paths if rule.http is not None else ()
                host.paths.update(dict.fromkeys(path.path or "/" for path in paths))
        if not item.spec.rules:
            found[""].ingresses.append(item)
    return dict(sorted(found.items()))


def _other_names(host: str, item: Ingress) -> Iterator[str]:
    """Names of a host besides its own: aliases, and `www.`."""
    annotations = item.metadata.annotations
    for alias in annotations.get(f"{PREFIX}server-alias", "").split(","):
        if alias.strip() and "~" not in alias:
            yield alias.strip().lower()
    if f"{PREFIX}from-to-www-redirect" in annotations and host and not host.startswith("*"):
        yield host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"


def _of_host(name: str, host: _Host, seed: int) -> Iterator[Probe]:
    chance = random.Random(f"{seed}/{name}")  # noqa: S311 (no secret is made of it)
    method, fields = _call(host.ingresses)
    always = ("/unlisted", "/.well-known/acme-challenge/token") if method == "GET" else ("/shop.Cart/Get",)
    paths = list(dict.fromkeys(["/", *host.paths, *always]))[:MAX_PATHS]
    for authority, about in _authorities(name):
        for path in paths:
            for target, edge in list(edges(path, chance))[: 1 if about else None]:
                for scheme in SCHEMES:
                    yield Probe(
                        method=method,
                        scheme=scheme,
                        host=authority,
                        target=target,
                        headers=fields,
                        edge=f"{edge} {path}{about}",
                    )
        if about:
            continue
        for path in paths:
            target = next(edges(path, chance))[0]
            for scheme in SCHEMES:
                base = Probe(method=method, scheme=scheme, host=authority, target=target, headers=fields, edge=path)
                yield from people(base, host.ingresses)


def _call(ingresses: Iterable[Ingress]) -> tuple[str, tuple[Field, ...]]:
    """Method and fields of requests of a host: where its backends speak gRPC, those of a call."""
    for item in ingresses:
        if item.metadata.annotations.get(f"{PREFIX}backend-protocol", "").upper().startswith("GRPC"):
            return "POST", (("content-type", "application/grpc"), ("te", "trailers"))
    return "GET", ()


def _authorities(name: str) -> Iterator[tuple[str, str]]:
    """Hosts of requests, and what is odd about each; the first one has nothing odd."""
    if name.startswith("*."):
        yield f"one{name[1:]}", ""
        yield f"two.labels{name[1:]}", ", two labels for the wildcard"
        yield name[2:], ", no label for the wildcard"
        return
    if not name:
        yield UNLISTED, ""
        return
    yield name, ""
    yield name.upper(), ", the host in capitals"
    yield f"{name}:8080", ", a port in the host"
    yield f"{name}.", ", a full stop behind the host"
    yield f"below.{name}", ", a name below the host"


def _drawn(found: list[Probe], chance: random.Random, most: int) -> list[Probe]:
    """All of them, or those that there is room for, in their order."""
    if len(found) <= most:
        return found
    first: dict[str, Probe] = {}
    for probe in found:
        first.setdefault(f"{probe.scheme} {probe.edge}", probe)
    kept = list(first.values())
    if len(kept) > most:
        kept = chance.sample(kept, most)
    else:
        others = [probe for probe in found if first[f"{probe.scheme} {probe.edge}"] is not probe]
        kept += chance.sample(others, most - len(kept))
    wanted = set(kept)
    return [probe for probe in found if probe in wanted]

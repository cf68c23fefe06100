"""The comparison: every request of a plan is asked of the model and of the converted table."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sluicegate.controller.api.ingress import Ingress
from sluicegate.controller.ingress import NGINX, Conversion, Inventory
from sluicegate.controller.ingress import Options as ConversionOptions
from sluicegate.controller.ingress.convert import Progress
from sluicegate.controller.ingress.losses import Aspect
from sluicegate.controller.ingress.model import Objects
from sluicegate.controller.ingress.probes import Probe, plan

from .compare import differences
from .converted import Converted
from .premises import Naming

#: Differences that are told one by one, and what names one of them.
MAX_TOLD, MAX_NAMES = 1_000, 8


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """A request that is answered otherwise.

    Attributes:
        request: method and URL.
        curl: the request for a terminal.
        client: the address that it comes from.
        edge: what it looks at.
        theirs: what the source answers.
        ours: what the converted manifests answer.
        differs: what they differ in.
        named: what in the report says so; empty: nothing, which is a fault.
    """

    request: str
    curl: str
    client: str
    edge: str
    theirs: str
    ours: str
    differs: tuple[Aspect, ...]
    named: tuple[str, ...]


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison came to.

    Attributes:
        seed: of the requests.
        asked: number of requests.
        equal: number of those that are answered alike.
        named: number of those whose difference the report names.
        unnamed: number of all others.
        differences: those that nobody names first; `MAX_TOLD` at most.
    """

    seed: int
    asked: int
    equal: int
    named: int
    unnamed: int
    differences: tuple[Difference, ...]


def verify(
    inventory: Inventory,
    conversion: Conversion,
    options: ConversionOptions,
    seed: int = 0,
    progress: Progress | None = None,
) -> Verification:
    """Ask both.

    Args:
        inventory: what was converted.
        conversion: what it became.
        options: of the conversion.
        seed: of the requests.
        progress: called for each host.
    """
    naming = Naming(objects_of(inventory, options), conversion.losses, by_host(inventory.ingresses))
    model, converted = naming.model, Converted(conversion, inventory, forwarding=options.forwarding_headers)
    asked = equal = unnamed = 0
    silent: list[Difference] = []
    named: list[Difference] = []
    for probe in plan(inventory.ingresses, seed, progress):
        asked += 1
        theirs, ours = model.answer(probe), converted.answer(probe)
        different = differences(probe, theirs, ours.answer)
        if not different:
            equal += 1
            continue
        names = naming.names(probe, theirs, ours, different)
        unnamed += names is None
        told = silent if names is None else named
        if len(told) < MAX_TOLD:
            told.append(_difference(probe, str(theirs), str(ours.answer), different, names or ()))
    return Verification(
        seed=seed,
        asked=asked,
        equal=equal,
        named=asked - equal - unnamed,
        unnamed=unnamed,
        differences=(*silent, *named)[:MAX_TOLD],
    )


def objects_of(inventory: Inventory, options: ConversionOptions) -> Objects:
    """What the model is made of, where these are converted with these options."""
    settings = inventory.config_maps.get(options.config_map) if options.config_map is not None else None
    return Objects(
        ingresses=inventory.ingresses,
        classes=inventory.classes,
        services=inventory.services,
        secrets=inventory.secrets,
        config_maps=inventory.config_maps,
        certificates={
            name: names for name, item in inventory.secrets.items() if (names := options.certificate_names(item))
        },
        settings=settings,
        ingress_class=options.ingress_class,
        forwarding=options.forwarding_headers,
    )


def by_host(ingresses: Iterable[Ingress]) -> dict[str, frozenset[str]]:
    """Names of Ingresses by the hosts that they name, also as other names of a host."""
    found: dict[str, set[str]] = {}
    for item in ingresses:
        aliases = item.metadata.annotations.get(f"{NGINX.prefix}server-alias", "").split(",")
        hosts = [
            *(rule.host.lower() or "_" for rule in item.spec.rules),
            *(name.strip().lower() for name in aliases if name),
        ]
        for host in hosts or ["_"]:
            found.setdefault(host, set()).add(str(item.key))
    return {host: frozenset(names) for host, names in found.items()}


def _difference(
    probe: Probe, theirs: str, ours: str, different: tuple[Aspect, ...], names: tuple[str, ...]
) -> Difference:
    return Difference(
        request=f"{probe.method} {probe.scheme}://{probe.host}{probe.target}",
        curl=probe.curl,
        client=probe.client,
        edge=probe.edge,
        theirs=theirs,
        ours=ours,
        differs=different,
        named=names[:MAX_NAMES],
    )

"""`convert`: Ingresses in, manifests of the Gateway API and what became of everything out. Pure: no input or output."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ..api import ObjectKey
from ..api.ingress import Ingress
from .emit import Manifest, Output, emit
from .emit.carried import tell_dropped
from .features import PROTECTING, Closed, Feature, Features, each_once
from .inventory import Inventory
from .losses import Cause, Ledger, Loss
from .options import Options
from .other_maps import tell_other_maps
from .port_maps import port_entries
from .provider import Provider
from .reading import Reading
from .selection import selected
from .settings import Settings
from .site import Site


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion came to.

    Attributes:
        objects: in the order in which they are written: what others refer to comes first.
        fates: what became of annotations and fields, in the order of files and lines.
        ingresses: number of those that were converted.
        hosts: number of hosts.
        frontend: `spec.tls.frontend` of the Gateway, where hosts ask clients for certificates.
    """

    objects: tuple[Manifest, ...]
    fates: tuple[Loss, ...]
    ingresses: int
    hosts: int
    frontend: dict[str, Any] | None = None

    @property
    def losses(self) -> tuple[Loss, ...]:
        """What somebody has to look at."""
        return tuple(item for item in self.fates if item.is_loss)


#: Called with what is looked at, and how many of how many were.
Progress = Callable[[str, int, int], None]


def convert(inventory: Inventory, provider: Provider, options: Options, progress: Progress | None = None) -> Conversion:
    """Convert the Ingresses of a class.

    Args:
        inventory: the objects.
        provider: whose annotations they have.
        options: what is wanted.
        progress: called for each Ingress.
    """
    ledger = Ledger()
    written = inventory.config_maps.get(options.config_map) if options.config_map is not None else None
    settings = Settings(provider.settings, written, inventory, provider.title)
    settings.tell(ledger, has_more=provider.traits.has_more_settings)
    _tell_missing_certificate(inventory, options, ledger)
    if not options.virtual:
        tell_other_maps(inventory, provider, options, ledger)
    output = Output(options, provider, inventory, ledger)
    ingresses = tuple(selected(inventory, provider, options, ledger))
    features: dict[ObjectKey, Features] = {}
    of_services: dict[tuple[ObjectKey, str], Features] = {}
    for number, item in enumerate(ingresses):
        if progress is not None:
            progress(str(item.key), number, len(ingresses))
        reading = Reading(item, provider, settings, inventory, ledger, pattern_error=options.pattern_error)
        found = _each_once(provider.read(reading), ledger)
        features[item.key] = Features(_allowed(found, item, output))
        for service in _services(item):
            own = tuple(provider.of_service(reading, service))
            of_services[item.key, service] = Features((*own, *features[item.key])) if own else features[item.key]
        reading.tell_fates()
        if not options.virtual:
            tell_dropped(item, inventory, ledger)
    site = Site(features, of_services, provider, settings, inventory, ledger, options)
    site.build(ingresses)
    ports = port_entries(inventory, options, settings, ledger) if provider.traits.has_port_maps else ()
    objects, frontend = emit(site, Features(provider.of_gateway(settings, ledger)), output, ports)
    if frontend is not None and options.gateway_exists and not options.virtual:
        for host in site:
            if host.clients is not None:
                message = "the Gateway that is there has to ask clients for certificates (`spec.tls.frontend`)"
                ledger.tell(host.clients.cause, "no-equivalent", message, f"set it to {frontend}", host=host.name)
    return Conversion(objects, ledger.done(), len(ingresses), len(site.hosts), frontend)


def _tell_missing_certificate(inventory: Inventory, options: Options, ledger: Ledger) -> None:
    """Say that nobody has the certificate of hosts without one; who serves them watches the Secret."""
    secret = options.default_certificate
    if secret is not None and not options.virtual and secret not in inventory.secrets:
        name = "/".join(secret)
        message = f"the Secret {name} is not here: listeners without their certificate do not serve"
        cause = Cause(f"Secret/{name}", subject="--default-certificate", value=name)
        ledger.tell(cause, "converted-with-difference", message, "see that the cluster has it")


def _each_once(found: Iterable[Feature], ledger: Ledger) -> Iterator[Feature]:
    """One feature of each kind; what cannot be said beside an earlier one is told, and closes what it protects."""
    kept, clashing = each_once(found)
    for feature in clashing:
        message = f"{_first(kept, feature).subject} says the same part, and only one of them can be said"
        remedy = "make one of them"
        if isinstance(feature, PROTECTING):
            message += ": its paths answer 500"
            yield Closed(causes=feature.causes, reason="two ways to say who may")
        ledger.tell(feature.cause, "no-equivalent", message, remedy)
    yield from kept


def _first(kept: Iterable[Feature], feature: Feature) -> Cause:
    """Where the feature of the same kind that is kept comes from."""
    return next(item.cause for item in kept if type(item) is type(feature))


def _services(item: Ingress) -> Iterable[str]:
    """The names of the Services of an Ingress, each once."""
    paths = [path for rule in item.spec.rules for path in (rule.http.paths if rule.http is not None else ())]
    found = [item.default_backend, *(path.backend.of_service() for path in paths)]
    return dict.fromkeys(service.name for service in found if service is not None)


def _allowed(found: Iterable[Feature], item: Ingress, output: Output) -> Iterable[Feature]:
    """What protects an Ingress is a policy of ours: where none is wanted, its paths are closed rather than open."""
    for feature in found:
        if isinstance(feature, PROTECTING) and not output.allows("AccessPolicy", feature.causes):
            yield Closed(causes=feature.causes, reason=f"{item.key} is protected by policies")
            continue
        yield feature

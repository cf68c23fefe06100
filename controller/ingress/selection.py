"""Which Ingresses are converted: those of the class, as the source's controller tells them.

Source: `GetIngressClass` and `sortIngressSlice` of `internal/ingress/controller/store/store.go` of ingress-nginx: the
field goes before the annotation, and of Ingresses of the same second the last one by name is first. An Ingress without
a class is the default class's, by the API server. What another controller does its provider says (`traits`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..api.ingress import Ingress
from .inventory import Inventory, annotation_field
from .losses import Ledger, nearest
from .options import Options
from .provider import Provider

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
DEFAULT_CLASS = "ingressclass.kubernetes.io/is-default-class"


def selected(inventory: Inventory, provider: Provider, options: Options, ledger: Ledger) -> Iterator[Ingress]:
    """The Ingresses that are converted, in the controller's order; of the others it is told why they are not."""
    wanted = _classes(inventory, provider, options)
    known = {*inventory.classes, *wanted}
    for item in _in_order(inventory.ingresses, provider):
        written = item.metadata.annotations.get(CLASS_ANNOTATION)
        if provider.traits.field_first and item.spec.ingress_class_name:
            written = None
        name = written if written is not None else item.spec.ingress_class_name
        field = CLASS_ANNOTATION if written is not None else "spec.ingressClassName"
        if name in wanted or (not name and _takes_classless(inventory, wanted, provider, options)):
            yield item
            continue
        at = annotation_field(field) if written is not None else field
        cause = inventory.cause(item, field, name, at=at)
        if not name:
            remedy = f"give it `ingressClassName: {min(wanted)}` if it is meant"
            ledger.tell(cause, "invalid", "it has no class, and no class is the default one: left out", remedy)
        elif name in inventory.classes:
            other = inventory.classes[name].spec.controller
            ledger.tell(cause, "dropped-harmless", f"its class {name} is served by {other}: left out")
        else:
            near = nearest(name, known)
            remedy = f"--ingress-class {name} if it is meant" + (f"; the nearest class is {near}" if near else "")
            ledger.tell(cause, "invalid", f"there is no class {name} here: left out", remedy)


def _in_order(ingresses: Iterable[Ingress], provider: Provider) -> Iterable[Ingress]:
    """Ingresses as the controller takes them: the oldest first, and those of one second by name."""
    if not provider.traits.last_name_first:
        return ingresses
    by_name = sorted(ingresses, key=lambda item: f"{item.namespace}/{item.name}", reverse=True)
    return sorted(by_name, key=lambda item: item.metadata.created)


def _classes(inventory: Inventory, provider: Provider, options: Options) -> frozenset[str]:
    """The classes that are converted."""
    if options.ingress_class:
        return frozenset({options.ingress_class, *options.other_classes})
    ours = {name for name, item in inventory.classes.items() if item.spec.controller in provider.controllers}
    return frozenset(ours or {provider.ingress_class})


def _takes_classless(inventory: Inventory, wanted: frozenset[str], provider: Provider, options: Options) -> bool:
    """Whether Ingresses without a class are meant: there is a default class of ours, or no class is known at all."""
    if not inventory.classes or (provider.traits.takes_classless and not options.ingress_class):
        return True
    return any(
        name in wanted and item.metadata.annotations.get(DEFAULT_CLASS) == "true"
        for name, item in inventory.classes.items()
    )

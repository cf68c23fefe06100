"""Which Ingresses the controller serves, and in which order it takes them.

Source: `GetIngressClass` and `sortIngressSlice` of `internal/ingress/controller/store/store.go`: the field goes before
the annotation; an Ingress with neither is served where the controller is told so, or a class of it is the default one.
The oldest is first, and of those of the same second the last one by name.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...api.ingress import Ingress
from .objects import Objects

_CLASS = "kubernetes.io/ingress.class"
_DEFAULT = "ingressclass.kubernetes.io/is-default-class"
_CONTROLLER = "k8s.io/ingress-nginx"
_USUAL = "nginx"


def selected(objects: Objects) -> Iterator[Ingress]:
    """The Ingresses that are served; without any IngressClass all without a class are taken to be meant."""
    ours = {name for name, item in objects.classes.items() if item.spec.controller == _CONTROLLER} or {_USUAL}
    wanted = {objects.ingress_class} if objects.ingress_class else ours
    default = any(
        name in wanted and item.metadata.annotations.get(_DEFAULT) == "true" for name, item in objects.classes.items()
    )
    by_name = sorted(objects.ingresses, key=_name, reverse=True)
    for item in sorted(by_name, key=lambda item: item.metadata.created):
        name = item.spec.ingress_class_name or item.metadata.annotations.get(_CLASS, "")
        if name in wanted or (not name and (default or not objects.classes)):
            yield item


def _name(item: Ingress) -> str:
    return f"{item.namespace}/{item.name}"

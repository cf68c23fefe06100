"""Which Ingresses the controller serves.

Source: `GetIngressClass` of `internal/ingress/controller/store/store.go`: the annotation goes before the field; an
Ingress with neither is served where the controller is told so, or a class of it is the default one.
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
    for item in objects.ingresses:
        name = item.metadata.annotations.get(_CLASS, item.spec.ingress_class_name)
        if name in wanted or (not name and (default or not objects.classes)):
            yield item

"""What a model is made of: objects of the cluster, as they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...api import Secret, Service
from ...api.ingress import Ingress, IngressClass, TextMap


@dataclass(frozen=True)
class Objects:
    """Objects by namespace and name.

    Attributes:
        ingresses: in the order of their age, then by namespace and name (`sortIngressSlice`).
        classes: IngressClasses, by name.
        services: that are known; one that is not is taken to be there, with the ports that are asked for.
        secrets: that are known.
        config_maps: that are known.
        settings: the controller's ConfigMap; None: its defaults hold.
        ingress_class: the class that is served; empty: all that the controller serves.
    """

    ingresses: tuple[Ingress, ...] = ()
    classes: Mapping[str, IngressClass] = field(default_factory=dict)
    services: Mapping[tuple[str, str], Service] = field(default_factory=dict)
    secrets: Mapping[tuple[str, str], Secret] = field(default_factory=dict)
    config_maps: Mapping[tuple[str, str], TextMap] = field(default_factory=dict)
    settings: TextMap | None = None
    ingress_class: str = ""

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
        ingresses: in any order.
        classes: IngressClasses, by name.
        services: that are known; one that is not is taken to be there, with the ports that are asked for.
        secrets: that are known.
        config_maps: that are known.
        certificates: DNS names of the certificates of Secrets, as far as they can be read.
        settings: the controller's ConfigMap; None: its defaults hold.
        ingress_class: the class that is served; empty: all that the controller serves.
        forwarding: it says which fields backends get that tell where a request comes from, beside the usual three.
    """

    ingresses: tuple[Ingress, ...] = ()
    classes: Mapping[str, IngressClass] = field(default_factory=dict)
    services: Mapping[tuple[str, str], Service] = field(default_factory=dict)
    secrets: Mapping[tuple[str, str], Secret] = field(default_factory=dict)
    config_maps: Mapping[tuple[str, str], TextMap] = field(default_factory=dict)
    certificates: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    settings: TextMap | None = None
    ingress_class: str = ""
    forwarding: bool = False

"""Which Ingresses are served, as settings say it; what serves them is loaded only where somebody wants it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

#: The Gateway that serves Ingresses of a cluster where none is named, in the namespace of the controller.
INGRESS_GATEWAY = "ingress"
#: Those of `controller.ingress`, by name, without loading them.
PROVIDERS = ("nginx", "traefik", "f5")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which Ingresses are served, and how; names as they are given.

    Attributes:
        classes: names of their classes; empty: all that the provider's controller serves.
        provider: whose annotations they have.
        config_map: `NAMESPACE/NAME` with that controller's settings; empty: its defaults hold.
        default_certificate: `NAMESPACE/NAME` of a Secret, for hosts without TLS; empty: these have no port 443.
        forwarding_headers: backends get the further fields of that controller that say where a request comes from.
        gateway: `NAMESPACE/NAME` of the Gateway that serves them; empty: one is made.
    """

    classes: tuple[str, ...] = ()
    provider: str = "nginx"
    config_map: str = ""
    default_certificate: str = ""
    forwarding_headers: bool = False
    gateway: str = ""


class IngressSettings(Protocol):
    """Settings of whoever serves Ingresses (`Settings`, `ControllerSettings`)."""

    @property
    def ingress(self) -> bool:
        """Whether they are served, whatever their class."""
        ...

    @property
    def ingress_class(self) -> tuple[str, ...]:
        """Names of their classes."""
        ...

    @property
    def ingress_provider(self) -> str:
        """Whose annotations they have."""
        ...

    @property
    def ingress_config_map(self) -> str:
        """That controller's settings."""
        ...

    @property
    def ingress_default_certificate(self) -> str:
        """Secret of hosts without TLS."""
        ...

    @property
    def ingress_forwarding_headers(self) -> bool:
        """Whether backends get that controller's further fields of where a request comes from."""
        ...

    @property
    def ingress_gateway(self) -> str:
        """The Gateway that serves them."""
        ...


def wanted_of(settings: IngressSettings, gateway: str = "") -> Wanted | None:
    """What settings ask for; None: Ingresses are not served.

    Args:
        settings: of the process.
        gateway: that serves Ingresses where the settings name none; empty: one is made.
    """
    if not settings.ingress and not settings.ingress_class:
        return None
    return Wanted(
        classes=settings.ingress_class,
        provider=settings.ingress_provider,
        config_map=settings.ingress_config_map,
        default_certificate=settings.ingress_default_certificate,
        forwarding_headers=settings.ingress_forwarding_headers,
        gateway=settings.ingress_gateway or gateway,
    )

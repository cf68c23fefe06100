"""What a conversion may be told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..api import Secret


class Name(NamedTuple):
    """An object of a namespace."""

    namespace: str
    name: str


NO_NAME = Name("", "")


def accept(_pattern: str) -> str | None:
    """Take any regular expression: nobody looks at them."""
    return None


def unreadable(_secret: Secret) -> tuple[str, ...] | None:
    """No names: nobody looks at certificates."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a conversion may be told.

    Attributes:
        ingress_class: the class to convert; empty: all that the provider's controllers serve.
        other_classes: further classes.
        config_map: settings of the source's controller; None: its defaults hold.
        tcp_services: TCP ports and the Services that they lead to (`--tcp-services-configmap`); None: there are none.
        udp_services: UDP ports, the same.
        gateway: name and namespace of the Gateway; an empty namespace: that of the Ingresses, where they have one.
        gateway_class: of the Gateway.
        gateway_exists: the Gateway is there, with listeners named `http` and `https` for all hosts: none is made.
        virtual: what is made is served at once and never stored: each host has a ListenerSet of its own, and names are
            none that an object of a cluster can have.
        default_certificate: Secret that hosts without TLS are served with on port 443; None: they are not served there.
        standard_only: use nothing but the Gateway API, and tell what it cannot say.
        forwarding_headers: backends are told where a request comes from by the fields of the source's controller too.
        strict_paths: a host with expressions has its plain paths by their types, and the case of expressions counts.
        pattern_error: what is wrong with a regular expression for RE2; None: nothing.
        certificate_names: the DNS names of the certificate of a Secret; None: it has none that can be used.
    """

    ingress_class: str = ""
    other_classes: tuple[str, ...] = ()
    config_map: Name | None = None
    tcp_services: Name | None = None
    udp_services: Name | None = None
    gateway: Name = NO_NAME
    gateway_class: str = "sluicegate"
    gateway_exists: bool = False
    virtual: bool = False
    default_certificate: Name | None = None
    standard_only: bool = False
    forwarding_headers: bool = False
    strict_paths: bool = False
    pattern_error: Callable[[str], str | None] = accept
    certificate_names: Callable[[Secret], tuple[str, ...] | None] = unreadable

"""Ports that lead to Services without an Ingress: the ConfigMaps of TCP and UDP ports of ingress-nginx.

Source: `--tcp-services-configmap`, `--udp-services-configmap`; `getStreamServices` of
`internal/ingress/controller/controller.go` and the section `stream` of `nginx.tmpl` of 1.15.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from ..api.ingress import TextMap
from .inventory import Inventory
from .losses import Cause, Ledger
from .options import Name, Options
from .settings import Settings

Protocol = Literal["TCP", "UDP"]

#: Ports that the controller has for itself (`ngx_config.ListenPorts`, and those of its health and status).
RESERVED = frozenset({80, 442, 443, 8181, 10245, 10246, 10247, 10254})
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
#: `namespace/service:port`, and whether PROXY protocol is spoken by clients, and to the Service.
_SERVICE = re.compile(
    r"(?P<namespace>[a-z0-9-]+)/(?P<service>[a-z0-9.-]+):(?P<port>[A-Za-z0-9-]+)(?P<proxy>(?::[A-Za-z]*){0,2})",
    re.ASCII,
)
MAX_PORT = 0xFFFF


class PortEntry(NamedTuple):
    """A port that leads to a Service.

    Attributes:
        protocol: of it.
        port: that clients connect to.
        service: that has the connections.
        service_port: of the Service.
        proxies: who connects, and says by the PROXY protocol who the client is; empty: clients connect themselves.
        to_service: those to the Service do.
        cause: where it is written.
    """

    protocol: Protocol
    port: int
    service: Name
    service_port: int
    proxies: tuple[str, ...]
    to_service: bool
    cause: Cause


def port_entries(inventory: Inventory, options: Options, settings: Settings, ledger: Ledger) -> tuple[PortEntry, ...]:
    """The ports of the ConfigMaps that options name; what is none is told."""
    proxies = settings.networks("proxy-real-ip-cidr")
    maps: tuple[tuple[Protocol, Name | None], ...] = (("TCP", options.tcp_services), ("UDP", options.udp_services))
    found: list[PortEntry] = []
    for protocol, name in maps:
        item = inventory.config_maps.get(name) if name is not None else None
        found += _entries(protocol, item, proxies, inventory, ledger) if item is not None else ()
    return tuple(sorted(found, key=lambda entry: (entry.protocol, entry.port)))


def is_port_map(item: TextMap) -> bool:
    """Whether all that a ConfigMap has are ports with Services."""
    return all(_PORT.fullmatch(key) and _SERVICE.fullmatch(str(value).strip()) for key, value in item.data.items())


def _entries(
    protocol: Protocol, item: TextMap, proxies: tuple[str, ...], inventory: Inventory, ledger: Ledger
) -> Iterator[PortEntry]:
    for key, value in item.data.items():
        cause = inventory.of_key(item, key)
        written = _SERVICE.fullmatch(str(value).strip())
        port = int(key) if _PORT.fullmatch(key) else 0
        wrong = _wrong(port, written)
        if written is None or wrong:
            ledger.tell(cause, "invalid", f"{wrong}: nothing led there", "correct it, or take it out")
            continue
        service = Name(written["namespace"], written["service"])
        number = _number(service, written["port"], protocol, inventory, cause, ledger)
        if not number:
            continue
        accepts, sends = ([part.upper() == "PROXY" for part in written["proxy"].split(":")[1:]] + [False, False])[:2]
        if protocol == "UDP" and (accepts or sends):
            ledger.tell(cause, "dropped-harmless", "datagrams have no PROXY protocol: it never did anything")
            accepts = sends = False
        if accepts and not proxies:
            message = "anybody may say by the PROXY protocol who it is there, and nobody here: the port is not served"
            remedy = "give the addresses of the load balancers in proxy-real-ip-cidr"
            ledger.tell(cause, "no-equivalent", message, remedy)
            continue
        yield PortEntry(protocol, port, service, number, proxies if accepts else (), sends, cause)


def _wrong(port: int, written: re.Match[str] | None) -> str:
    """Why an entry leads nowhere; empty: it leads somewhere."""
    if not 0 < port <= MAX_PORT:
        return "the key is no port"
    if port in RESERVED:
        return f"ingress-nginx keeps port {port} for itself"
    return "it is no namespace/service:port" if written is None else ""


def _number(name: Name, text: str, protocol: Protocol, inventory: Inventory, cause: Cause, ledger: Ledger) -> int:
    """The port of a Service by number or name, of the protocol; 0: it has none, which is told."""
    service = inventory.services.get(name)
    where = "/".join(name)
    if service is None and text.isdecimal() and 0 < int(text) <= MAX_PORT:
        if inventory.has_services:
            message = f"the Service {where} is not here: connections are reset without it"
            ledger.tell(cause, "converted-with-difference", message, "see that the cluster has it")
        return int(text)
    if service is None:
        message = (
            f"the Service {where} is not here, and its port {text} has no number without it: nothing is made of it"
        )
        ledger.tell(cause, "invalid", message, "give the Service as well")
        return 0
    ports = [item for item in service.spec.ports if text in {item.name, str(item.port)}]
    found = next((item for item in ports if item.protocol == protocol), None)
    if found is None:
        message = f"the Service {where} has no port {text} of {protocol}: nothing led there"
        ledger.tell(cause, "invalid", message, "correct the port")
    return found.port if found is not None else 0

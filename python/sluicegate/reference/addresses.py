"""Addresses of clients, and blocks of them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def is_in(networks: Iterable[str], address: str) -> bool:
    """Whether an address is of one of some blocks."""
    asked = _canonical(ipaddress.ip_address(address))
    return any(asked in network for network in map(_network, networks) if network.version == asked.version)


def canonical_text(address: str | None) -> str | None:
    """An address as the gateway writes it."""
    return None if address is None else str(_canonical(ipaddress.ip_address(address)))


def _network(written: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    """A block; one of IPv4 addresses that are written as IPv6's is one of IPv4."""
    network = ipaddress.ip_network(written)
    mapped = 96
    if isinstance(network, ipaddress.IPv6Network) and network.prefixlen >= mapped:
        first = network.network_address.ipv4_mapped
        if first is not None:
            return ipaddress.IPv4Network((first, network.prefixlen - mapped))
    return network


def _canonical(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped

"""Addresses for Gateways that ask for none: each gets one of a pool, and keeps it while it exists.

For one node without a load balancer (`--address-pool`). A Gateway's address goes into the object in the store as if it
had been written there, so that everything behind treats it as a static address; the API object is not touched.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

import msgspec

from ..api import Gateway, ObjectKey
from ..api.gateway import GatewayAddress

#: Addresses of a pool; a wider network is a mistake.
MAX_POOL = 65_536


class PoolError(ValueError):
    """A pool that cannot be used."""


class AddressPool:
    """Gives addresses out, those that were free the longest first."""

    def __init__(self, networks: Iterable[str]) -> None:
        """Make a pool of networks (`10.0.0.0/28`), ranges (`10.0.0.1-10.0.0.9`) and addresses.

        Raises:
            PoolError: something that is none of these.
        """
        self._free: dict[str, None] = {}
        for network in networks:
            self._free.update(dict.fromkeys(_addresses(network)))
        self._all = frozenset(self._free)
        self._held: dict[ObjectKey, str] = {}
        #: Addresses of the pool that Gateways name themselves.
        self._named: dict[ObjectKey, frozenset[str]] = {}
        #: Gateways that came when none was left, the first first.
        self._waiting: dict[ObjectKey, Gateway] = {}

    def place(self, gateway: Gateway) -> Gateway:
        """The Gateway with an address; as it is where it names one, or where none is left: then it waits for one."""
        named = frozenset(item.value for item in gateway.spec.addresses if item.value)
        if named != self._named.get(gateway.key):
            self._take_named_back(gateway.key)
        if named:
            self._take_back(gateway.key)
            self._named[gateway.key] = named
            for item in named:
                self._free.pop(item, None)
            return gateway
        address = self._held.get(gateway.key) or next(iter(self._free), None)
        if address is None:
            self._waiting[gateway.key] = gateway
            return gateway
        self._waiting.pop(gateway.key, None)
        self._free.pop(address, None)
        self._held[gateway.key] = address
        spec = msgspec.structs.replace(gateway.spec, addresses=(GatewayAddress(value=address),))
        return msgspec.structs.replace(gateway, spec=spec)

    def release(self, keys: Iterable[ObjectKey]) -> list[Gateway]:
        """Take the addresses of Gateways that are gone back; returns those that waited and have one now."""
        for key in keys:
            self._take_back(key)
            self._take_named_back(key)
        return [self.place(gateway) for gateway in list(self._waiting.values())[: len(self._free)]]

    def _take_back(self, key: ObjectKey) -> None:
        self._waiting.pop(key, None)
        address = self._held.pop(key, None)
        self._free_up([address] if address is not None else [])

    def _take_named_back(self, key: ObjectKey) -> None:
        self._free_up(sorted(self._named.pop(key, ())))

    def _free_up(self, addresses: Iterable[str]) -> None:
        """Have addresses of the pool be free that no Gateway has any more."""
        for address in addresses:
            used = address in self._held.values() or any(address in named for named in self._named.values())
            if address in self._all and not used:
                self._free[address] = None


def _addresses(text: str) -> Iterable[str]:
    first, dash, last = text.partition("-")
    try:
        if dash:
            low, high = ipaddress.ip_address(first), ipaddress.ip_address(last)
            if low.version != high.version or not 0 <= int(high) - int(low) < MAX_POOL:
                raise PoolError(f"{text!r} is no range of at most {MAX_POOL:,} addresses")
            return [str(low + offset) for offset in range(int(high) - int(low) + 1)]
        network = ipaddress.ip_network(text)
    except ValueError as error:
        raise PoolError(f"{text!r}: {error}") from None
    if network.num_addresses > MAX_POOL:
        raise PoolError(f"{text!r} has more than {MAX_POOL:,} addresses")
    return [str(address) for address in network.hosts()] or [str(network.network_address)]

"""Addresses for Gateways that ask for none: each gets one of a pool, and keeps it while it exists.

For one node without a load balancer (`--address-pool`). Pure: who has which address follows from the Gateways alone.
Their `status.addresses` are the memory, so that a restart, and every replica, comes to the same. Rules, the older
Gateway first each time:

1. A Gateway stays at the address that its status says or that it serves on. One that was given it stays there also
   where another one names it later (`spec.addresses`): nobody's clients are sent elsewhere, and the other is told.
2. An address that a Gateway names is given to nobody else. Several that name it share it.
3. The rest gets what is free, in the order of the pool. Who comes too late has none, and is not served: without an
   address it would take those of all others.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from ..api import Gateway, ObjectKey
from .values import normal_address

#: Addresses of one network or range of a pool; a wider one is a mistake.
MAX_POOL = 65_536


class PoolError(ValueError):
    """A pool that cannot be used."""


def pool_of(networks: Iterable[str]) -> tuple[str, ...]:
    """Addresses of networks (`10.0.0.0/28`), ranges (`10.0.0.1-10.0.0.9`) and addresses, in this order, each once.

    Raises:
        PoolError: something that is none of these.
    """
    return tuple(dict.fromkeys(address for network in networks for address in _addresses(network)))


def give_addresses(
    pool: Sequence[str], gateways: Sequence[Gateway], serving: Mapping[ObjectKey, Sequence[str]]
) -> dict[ObjectKey, str]:
    """Give the addresses of a pool to the Gateways that name none; those that get none are left out.

    Args:
        pool: addresses in normal form.
        gateways: ours, in the order of precedence.
        serving: addresses that Gateways serve on; their statuses may not say it yet.
    """
    members = frozenset(pool)
    named = {item.key: named_addresses(item) for item in gateways}
    given: dict[ObjectKey, str] = {}
    taken: set[str] = set()
    for gateway in gateways:
        known = (*reported_addresses(gateway), *serving.get(gateway.key, ()))
        if named[gateway.key]:
            taken.update(address for address in known if address in named[gateway.key])
            continue
        address = next((item for item in known if item in members and item not in taken), None)
        if address is not None:
            given[gateway.key] = address
            taken.add(address)
    taken.update(address for addresses in named.values() for address in addresses)
    free = (address for address in pool if address not in taken)
    for gateway in gateways:
        if not named[gateway.key] and gateway.key not in given:
            address = next(free, None)
            if address is None:
                break
            given[gateway.key] = address
    return given


def named_addresses(gateway: Gateway) -> tuple[str, ...]:
    """What a Gateway asks for itself, in normal form where it has one; empty: any address will do."""
    return tuple(normal_address(item.value) or item.value for item in gateway.spec.addresses if item.value)


def reported_addresses(gateway: Gateway) -> tuple[str, ...]:
    """What the status of a Gateway says, in normal form."""
    return tuple(filter(None, (normal_address(item.value) for item in gateway.status.addresses)))


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

"""CIDR blocks as policies write them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from sluicegate.words import listed

from ...api import Code
from .draft import Draft

#: Code and remedy of a list of proxies that has everybody.
TRUSTS_EVERYBODY: Code = "trusts-everybody"
NAME_PROXIES = "name the proxies and load balancers that stand before the gateway, and nobody else"
#: Addresses of IPv4 as IPv6 writes them: the engine takes the two for the same (`native/route/src/policy/networks.rs`).
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")

_PREFIX = re.compile("/[0-9]{1,3}")


def check_networks(draft: Draft, path: str, networks: Iterable[str]) -> None:
    """Refuse what is no CIDR block and no address; `path`: the list, below `spec`."""
    for index, text in enumerate(networks):
        error = network_error(text)
        if error:
            draft.refuse(f"{path}[{index}]", f"{text!r} {error}", "write a block such as 10.0.0.0/8, or an address")


def network_error(text: str) -> str:
    """What is wrong with a CIDR block, or a single address; empty: nothing.

    Bits behind the prefix (`10.0.0.1/8`) are a mistake: nobody can say which part of it was meant.
    """
    if "%" in text:
        return "has a zone, which says nothing to another machine"
    slash = text.find("/")
    has_prefix = slash < 0 or _PREFIX.fullmatch(text, slash) is not None
    try:
        block = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return "is no CIDR block"
    if not has_prefix:
        return f"has a netmask in place of a prefix: {block} is the block"
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return f"has bits behind its prefix: {block} is the block"
    return ""


def trusts_everybody(networks: Iterable[str]) -> str:
    """What trusting some networks means, where together they are all addresses of a family; empty: they are not.

    What is no network is told elsewhere.
    """
    v4: list[ipaddress.IPv4Network] = []
    v6: list[ipaddress.IPv6Network] = []
    for text in networks:
        try:
            block = ipaddress.ip_network(text, strict=False)
        except ValueError:
            continue
        if isinstance(block, ipaddress.IPv4Network):
            v4.append(block)
        elif block.subnet_of(_MAPPED):
            v4.append(ipaddress.IPv4Network((int(block.network_address) & 0xFFFF_FFFF, block.prefixlen - 96)))
        else:
            v6.append(block)
    whole: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = [
        *ipaddress.collapse_addresses(v4),
        *ipaddress.collapse_addresses(v6),
    ]
    all_of = [f"IPv{block.version}" for block in whole if block.prefixlen == 0]
    if not all_of:
        return ""
    return (
        f"every address of {listed(all_of)} is a trusted proxy: any client can say that it has any address"
        " (X-Forwarded-For), so policies, limits and logs that go by addresses go by what clients write"
    )

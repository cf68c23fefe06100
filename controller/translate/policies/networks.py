"""CIDR blocks as policies write them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from .draft import Draft

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

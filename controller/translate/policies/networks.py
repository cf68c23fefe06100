"""CIDR blocks as policies write them."""

from __future__ import annotations

import ipaddress
import re

_PREFIX = re.compile("/[0-9]{1,3}")


def network_error(text: str) -> str:
    """What is wrong with a CIDR block, or a single address; empty: nothing.

    Bits behind the prefix (`10.0.0.1/8`) are a mistake: nobody can say which part of it was meant.
    """
    slash = text.find("/")
    if slash >= 0 and not _PREFIX.fullmatch(text, slash):
        return "is no CIDR block"
    if "%" in text:
        return "has a zone"
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        return f"is no CIDR block: {error}"
    return ""

"""Quantities of octets, as Kubernetes writes them (`resource.Quantity`)."""

from __future__ import annotations

import re

_UNITS = {"": 1, "k": 1000, "M": 1000**2, "G": 1000**3, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}
_QUANTITY = re.compile(r"([0-9]{1,12})(k|M|G|Ki|Mi|Gi)?")
#: More than any body has.
_MOST = 2**63 - 1


def octets(quantity: str | int) -> int | None:
    """Octets that a quantity means, at least 1; None: it is none."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        return None
    found = int(match[1]) * _UNITS[match[2] or ""]
    return found if 0 < found <= _MOST else None

"""What rules ask of requests, checked: networks and expressions."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from ..draft import Draft


def check_clients(draft: Draft, path: str, clients: Iterable[str]) -> None:
    """Refuse what is no network and no address."""
    for index, written in enumerate(clients):
        try:
            ipaddress.ip_network(written)
        except ValueError:
            message = f"{written!r} is no address and no block such as 10.0.0.0/8"
            if (masked := _masked(written)) is not None:
                message += f"; it has bits behind its prefix, {masked} is the block"
            draft.refuse(f"{path}[{index}]", message, "write an address, or a block with its prefix")


def _masked(written: str) -> str | None:
    try:
        return str(ipaddress.ip_network(written, strict=False))
    except ValueError:
        return None


def check_condition(draft: Draft, path: str, expression: str) -> None:
    """Refuse what is no condition."""
    error = draft.material.options.checks.expression(expression, "condition") if expression else None
    if error is not None:
        draft.refuse(path, f"the expression cannot be used: {error}", "see docs/policies/expressions.md")

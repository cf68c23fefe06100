"""`ClientPolicy.spec.clientAddress`: who asks, where proxies stand between."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientAddress
from ..draft import Draft
from ..networks import network_error


def judge_address(draft: Draft, address: ClientAddress | None) -> ir.ClientAddress | None:
    """The stanza; None: it is not set."""
    if address is None:
        return None
    head = draft.head("clientAddress", off=address.off)
    if address.off:
        return ir.ClientAddress(**head)
    faults = draft.faults
    for index, text in enumerate(address.trusted_proxies):
        error = network_error(text)
        if error:
            path = f"clientAddress.trustedProxies[{index}]"
            draft.refuse(path, f"{text!r} {error}", "write a block such as 10.0.0.0/8, or an address")
    return ir.ClientAddress(**head, trusted_proxies=address.trusted_proxies, invalid=draft.faults > faults)

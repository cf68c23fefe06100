"""`ClientPolicy.spec.clientAddress`: who asks, where proxies stand between."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientAddress
from ..draft import Draft
from ..networks import check_networks


def judge_address(draft: Draft, address: ClientAddress | None) -> ir.ClientAddress | None:
    """The stanza; None: it is not set."""
    if address is None:
        return None
    head = draft.head("clientAddress", off=address.off)
    if address.off:
        return ir.ClientAddress(**head)
    faults = draft.faults
    check_networks(draft, "clientAddress.trustedProxies", address.trusted_proxies)
    return ir.ClientAddress(**head, trusted_proxies=address.trusted_proxies, invalid=draft.faults > faults)

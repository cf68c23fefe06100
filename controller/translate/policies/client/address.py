"""`ClientPolicy.spec.clientAddress`: who asks, where proxies stand between."""

from __future__ import annotations

from sluicegate import ir

from ....api.client_policy import ClientAddress
from ..draft import Draft
from ..networks import NAME_PROXIES, TRUSTS_EVERYBODY, check_networks, trusts_everybody
from .parts import for_listeners_only, word


def judge_address(draft: Draft, address: ClientAddress | None) -> ir.ClientAddress | None:
    """The stanza; None: it is not set."""
    if address is None:
        return None
    head, faults = draft.head("clientAddress", off=address.off), draft.faults
    for_listeners_only(draft, "clientAddress")
    if address.off:
        return ir.ClientAddress(**head, invalid=draft.faults > faults)
    check_networks(draft, "clientAddress.trustedProxies", address.trusted_proxies)
    if means := trusts_everybody(address.trusted_proxies):
        draft.warn("clientAddress.trustedProxies", TRUSTS_EVERYBODY, means, NAME_PROXIES)
    path = "clientAddress.proxyProtocol"
    protocol = word(draft, ir.AcceptProxy, address.proxy_protocol, path, ir.AcceptProxy.OFF)
    if protocol is not ir.AcceptProxy.OFF and not address.trusted_proxies:
        message = "the PROXY protocol is believed of trustedProxies only, and there is none"
        draft.refuse(path, message, "name the load balancers in trustedProxies, or remove proxyProtocol")
    return ir.ClientAddress(
        **head,
        trusted_proxies=address.trusted_proxies,
        proxy_protocol=protocol,
        invalid=draft.faults > faults,
    )

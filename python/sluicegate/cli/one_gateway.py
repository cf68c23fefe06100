"""One Gateway of several: in a cluster each has addresses of its own, so a port alone does not say which is asked."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sluicegate import ir
from sluicegate.controller.api import DEFAULT_NAMESPACE
from sluicegate.testing.request import Connection, Request
from sluicegate.words import suggestion

from .losers import best_hostname, host_of

_Rule = TypeVar("_Rule", ir.HttpRule, ir.L4Rule)


def only_gateway(
    transaction: ir.Transaction, asked: Request | Connection, wanted: str | None, port_offset: int = 0
) -> ir.Transaction:
    """What one Gateway has of a full state.

    Args:
        transaction: with all Gateways.
        asked: that is to be explained.
        wanted: `[NAMESPACE/]NAME` of the Gateway; None: the one that alone has a listener for it.
        port_offset: the setting of that name.

    Raises:
        ValueError: there is none, or more than one; the message names them.
    """
    resources = transaction.upsert
    name = _qualified(wanted) if wanted is not None else _asked_one(resources, asked, port_offset)
    names = sorted({item.gateway for item in resources.listeners})
    if name not in names:
        raise ValueError(f"--gateway: there is no Gateway {name} with a listener{suggestion(name, names)}")
    listeners = tuple(item for item in resources.listeners if item.gateway == name)
    attachments = tuple(item for item in resources.attachments if item.gateway == name)
    ids, attached = {item.id for item in listeners}, {item.id for item in attachments}

    def cut(rules: tuple[_Rule, ...]) -> tuple[_Rule, ...]:
        found = (
            msgspec.structs.replace(
                rule,
                listeners=tuple(item for item in rule.listeners if item in ids),
                attachments=tuple(item for item in rule.attachments if item in attached),
            )
            for rule in rules
        )
        return tuple(rule for rule in found if rule.listeners or rule.attachments)

    upsert = msgspec.structs.replace(
        resources,
        listeners=listeners,
        attachments=attachments,
        http_rules=cut(resources.http_rules),
        l4_rules=cut(resources.l4_rules),
    )
    return msgspec.structs.replace(transaction, upsert=upsert)


def _qualified(name: str) -> str:
    return name if "/" in name else f"{DEFAULT_NAMESPACE}/{name}"


def _asked_one(resources: ir.Resources, asked: Request | Connection, port_offset: int) -> str:
    is_udp = isinstance(asked, Connection) and asked.protocol == "udp"
    host = host_of(asked.authority) if isinstance(asked, Request) else (asked.server_name or "").lower()
    at_port = [
        item
        for item in resources.listeners
        if (item.protocol is ir.ListenerProtocol.UDP) == is_udp and asked.port in {item.port, item.port - port_offset}
    ]
    fitting = [item for item in at_port if best_hostname([item.hostname] if item.hostname else [], host) is not None]
    names = sorted({item.gateway for item in fitting or at_port})
    if len(names) > 1:
        raise ValueError(f"several Gateways have a listener for it: name one by --gateway: {', '.join(names)}")
    if not names:
        ports = sorted({(item.gateway, item.port) for item in resources.listeners})
        known = ", ".join(f"{name} port {port}" for name, port in ports) or "none"
        raise ValueError(f"no Gateway that is served has a listener at port {asked.port}; there are: {known}")
    return names[0]

"""ClientPolicy (`sluicegate.dev/v1alpha1`): how clients are spoken to, and what they may send."""

from __future__ import annotations

import msgspec

from .meta import Object
from .policy import PolicySpec, PolicyStanza


class ClientBody(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.body`; `max_size`: a quantity, such as `10Mi`."""

    max_size: str | int = ""


class ClientAddress(PolicyStanza, frozen=True, kw_only=True):
    """`ClientPolicy.spec.clientAddress`; `trusted_proxies`: CIDR blocks."""

    trusted_proxies: tuple[str, ...] = ()


class ClientPolicySpec(PolicySpec, frozen=True, kw_only=True):
    """`ClientPolicy.spec`."""

    client_address: ClientAddress | None = None
    body: ClientBody | None = None


class ClientPolicy(Object, frozen=True, kw_only=True):
    """How clients are spoken to, and what they may send."""

    spec: ClientPolicySpec = msgspec.field(default_factory=ClientPolicySpec)

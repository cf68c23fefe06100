"""`ClientPolicy`: how clients are spoken to."""

from __future__ import annotations

from typing import ClassVar

from ..base import Unsigned64
from .base import StanzaBase


class ClientAddress(StanzaBase, frozen=True, kw_only=True, tag="client_address"):
    """`ClientPolicy.spec.clientAddress`.

    Attributes:
        trusted_proxies: CIDR blocks: the proxies whose `X-Forwarded-For` is believed, in place of the engine setting.
    """

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "clientAddress"

    trusted_proxies: tuple[str, ...] = ()


class ClientBody(StanzaBase, frozen=True, kw_only=True, tag="client_body"):
    """`ClientPolicy.spec.body`; `max_bytes`: octets that the body of a request may have, 0: any number."""

    acts_on: ClassVar[frozenset[str]] = frozenset({"listener", "http_rule"})
    kind: ClassVar[str] = "ClientPolicy"
    stanza: ClassVar[str] = "body"

    max_bytes: Unsigned64 = 0

"""When the certificates of listeners end: names and times, nothing of what is in their Secrets."""

from __future__ import annotations

from typing import NamedTuple

from sluicegate.controller.translate.state import State
from sluicegate.engine.native import check_certificate
from sluicegate.ir import Certificate

#: Pairs of a listener and a Secret that are told, those that end first. Stops thousands of listeners from being as
#: many series.
MAX_TOLD = 1_000


class Expiry(NamedTuple):
    """The end of a certificate.

    Attributes:
        not_after: seconds since 1970.
        listener: id, such as `Gateway/shop/edge/https`.
        secret: `<namespace>/<name>`.
    """

    not_after: int
    listener: str
    secret: str


class Expiries:
    """Looks at each certificate once, for as long as it is there."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Certificate, int | None]] = {}

    def of(self, state: State) -> tuple[list[Expiry], int]:
        """Ends of the certificates of all listeners, the first ones first, and how many pairs there are besides."""
        known = {name: self._end(item) for name, item in state.certificates.items()}
        self._known = {name: (state.certificates[name], end) for name, end in known.items()}
        found = sorted(
            Expiry(end, listener.id, name)
            for listener in state.listeners.values()
            if listener.tls is not None
            for name in listener.tls.certificates
            if (end := known.get(name)) is not None
        )
        return found[:MAX_TOLD], len(found[MAX_TOLD:])

    def _end(self, certificate: Certificate) -> int | None:
        """When a certificate ends; None: it is none."""
        known = self._known.get(certificate.id)
        if known is not None and known[0] == certificate:
            return known[1]
        facts = check_certificate(certificate.chain, certificate.key)
        return facts.not_after if facts.error is None else None

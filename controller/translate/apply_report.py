"""What engines say of a transaction."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sluicegate.ir import ListenerReport

from ..api import ObjectKey

#: Code of a data plane that refuses the configuration and serves the one before.
REFUSED = "refused"


class HeldResource(msgspec.Struct, frozen=True):
    """A resource of the IR that an engine refuses and keeps at what it had, and why."""

    kind: str
    id: str
    reason: str

    @property
    def object(self) -> ObjectKey | None:
        """The object that it was made of; None where that cannot be told."""
        parts = self.id.split("/")
        owned = self.kind in {"http_rule", "l4_rule", "policy", "listener"} and len(parts) >= 3
        return ObjectKey(*parts[:3]) if owned else None


class ApplyReport(msgspec.Struct, frozen=True):
    """The engine's answer to a transaction, or what several engines said; unknown fields are ignored.

    Attributes:
        generation: of the transaction.
        listeners: one for each.
        settled: false where engines are there that did not say yet what they have.
        held: what engines refuse and keep at what they had.
    """

    generation: int
    listeners: tuple[ListenerReport, ...] = ()
    settled: bool = True
    held: tuple[HeldResource, ...] = ()


def read_report(report: bytes | Mapping[str, object] | ApplyReport) -> ApplyReport:
    """Take a report in any of its forms.

    Raises:
        msgspec.ValidationError: it is no report.
    """
    if isinstance(report, ApplyReport):
        return report
    if isinstance(report, bytes):
        return msgspec.json.decode(report, type=ApplyReport)
    return msgspec.convert(report, ApplyReport)

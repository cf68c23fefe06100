"""What engines say of a transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from sluicegate.ir import ListenerReport
from sluicegate.words import listed

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


class KeysAway(msgspec.Struct, frozen=True):
    """An identity provider whose keys an engine cannot fetch.

    Attributes:
        source: who is asked, and for what: id of the backend and path, as in the metrics.
        verify: keys that were fetched before still verify tokens.
        plane: `namespace/name` of the data plane; empty: of all Gateways.
        pod: whose engine; empty: that of this process.
    """

    source: str
    verify: bool
    plane: str = ""
    pod: str = ""


class ApplyReport(msgspec.Struct, frozen=True):
    """The engine's answer to a transaction, or what several engines said; unknown fields are ignored.

    Attributes:
        generation: of the transaction.
        listeners: one for each.
        settled: false where engines are there that did not say yet what they have.
        held: what engines refuse and keep at what they had.
        away: identity providers whose keys engines cannot fetch.
    """

    generation: int
    listeners: tuple[ListenerReport, ...] = ()
    settled: bool = True
    held: tuple[HeldResource, ...] = ()
    away: tuple[KeysAway, ...] = ()


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


def held_by_object(items: Iterable[HeldResource]) -> Mapping[ObjectKey, str]:
    """What is told of objects; of a listener its report says it."""
    found: dict[ObjectKey, list[str]] = {}
    for item in items:
        key = item.object
        if key is not None and item.kind != "listener":
            place = item.id.removeprefix(f"{key}/")
            found.setdefault(key, []).append(
                f"{f'rule {place}' if item.kind != 'policy' else 'all of it'}: {item.reason}"
            )
    return {key: listed(texts) for key, texts in found.items()}
